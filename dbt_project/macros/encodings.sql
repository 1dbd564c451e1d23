{#
  Raw columns as feature columns. Each macro can be called alone. `encoded_features` calls `encode_<as>` for each
  encoding of a list that a feature table declares at its head and puts into its `meta.encodings`. The endpoint reads
  the same list and encodes a request like the table. To add an encoding, write its `encode_` macro here and its
  class in `scoring/encodings`.
#}

{# Slug of a category, the suffix of a column's name: 'Baden-Württemberg' -> 'baden_wuerttemberg'. #}
{% macro category_slug(category) -%}
  {{ return(modules.re.sub('[^a-z0-9]+', '_', spelt_plainly(category)).strip('_')) }}
{%- endmacro %}

{# One 0/1 column for each of a fixed list of categories; NULL and an unlisted category are 0 in all of them. #}
{% macro one_hot(column, categories) -%}
  {%- for category in categories %}
  cast(coalesce({{ column }} = {{ sql_text(category) }}, false) as int)
    as {{ column }}_{{ category_slug(category) }}{{ ',' if not loop.last }}
  {%- endfor %}
{%- endmacro %}

{# The cohort of an age in years: 0 unknown, 1 below the first bound, 2 from the first to below the second, ... #}
{% macro age_cohort(column, bounds) -%}
  case
    when {{ column }} is null then 0
    {%- for bound in bounds %}
    when {{ column }} < {{ sql_number(bound) }} then {{ loop.index }}
    {%- endfor %}
    else {{ bounds | length + 1 }}
  end as {{ column }}_cohort
{%- endmacro %}

{# The category's integer from its index table (see `category_index`), joined before; 0 is unknown. #}
{% macro indexed(column) -%}
  coalesce({{ column }}_index, 0) as {{ column }}_index
{%- endmacro %}

{#
  The rank of an ordered category, from 1; NULL and an unlisted category take the rank of the imputed one and are marked.
#}
{% macro ordinal(column, categories, impute) -%}
  {%- if impute not in categories -%}
    {{ exceptions.raise_compiler_error("ordinal: impute '" ~ impute ~ "' of column '" ~ column
       ~ "' is not among its categories: " ~ categories | join(', ') ~ ".") }}
  {%- endif -%}
  case {{ column }}
    {%- for category in categories %}
    when {{ sql_text(category) }} then {{ loop.index }}
    {%- endfor %}
    else {{ categories.index(impute) + 1 }}
  end as {{ column }}_level,
  cast(coalesce({{ column }} not in ({{ sql_texts(categories) }}), true) as int) as {{ column }}_is_missing
{%- endmacro %}

{# A number as it is, NULL where it is missing; with `impute`, NULL becomes that value and is marked. #}
{% macro number(column, impute=none) -%}
  {%- if impute is none -%} {{ column }}
  {%- else -%} coalesce({{ column }}, {{ sql_number(impute) }}) as {{ column }},
  {{ is_missing(column) }}
  {%- endif -%}
{%- endmacro %}

{# A boolean as 0/1. #}
{% macro flag(column) -%}
  cast({{ column }} as int) as {{ column }}
{%- endmacro %}

{#
  A text as it is, and its length in characters; NULL becomes the empty text. Marks that belong to the letter before
  them do not count, so that an umlaut is one character in either of its Unicode forms.
#}
{% macro text_feature(column) -%}
  {{ text_length(column) }},
  coalesce({{ column }}, '') as {{ column }}
{%- endmacro %}

{% macro text_length(column) -%}
  cast(char_length(regexp_replace(coalesce({{ column }}, ''), {{ sql_text('\\p{M}') }}, '')) as int) as {{ column }}_length
{%- endmacro %}

{#
  The length of a text, and its embedding from the column `<column>_embedding` of a Python model, joined before: SQL
  cannot compute it. See dbt_project/models/staging/review_embeddings.
#}
{% macro embedded_text(column) -%}
  {{ text_length(column) }},
  {{ column }}_embedding
{%- endmacro %}

{% macro is_missing(column) -%}
  cast({{ column }} is null as int) as {{ column }}_is_missing
{%- endmacro %}

{# One macro for each `as` of an encoding. #}
{% macro encode_number(encoding) -%}
  {%- set missing, impute = encoding.get('missing'), encoding.get('impute') -%}
  {%- if missing is not none and (missing != 'keep' or impute is not none) -%}
    {{ exceptions.raise_compiler_error("number: column '" ~ encoding.column ~ "' has missing: " ~ missing
       ~ (", beside impute: " ~ impute if impute is not none else "")
       ~ ". Set either `missing: keep`, which leaves NULL, or `impute` with a value in its place.") }}
  {%- endif -%}
  {{ number(encoding.column, impute) }}
{%- endmacro %}
{% macro encode_text(encoding) -%} {{ text_feature(encoding.column) }} {%- endmacro %}
{% macro encode_embedding(encoding) -%} {{ embedded_text(encoding.column) }} {%- endmacro %}
{% macro encode_flag(encoding) -%} {{ flag(encoding.column) }} {%- endmacro %}
{% macro encode_cohort(encoding) -%} {{ age_cohort(encoding.column, encoding.bounds) }} {%- endmacro %}
{% macro encode_one_hot(encoding) -%} {{ one_hot(encoding.column, encoding.categories) }} {%- endmacro %}
{% macro encode_ordinal(encoding) -%}
  {{ ordinal(encoding.column, encoding.categories, encoding.impute) }}
{%- endmacro %}
{% macro encode_category_index(encoding) -%} {{ indexed(encoding.column) }} {%- endmacro %}

{# Warns if a feature table lists categories and no data test counts the rows of unlisted ones. #}
{% macro warn_of_uncounted_categories(encodings) -%}
  {%- if execute and model.resource_type == 'model' and encodings | selectattr('categories', 'defined') | list -%}
    {%- set tests = [] -%}
    {%- for node in graph.nodes.values() if node.get('attached_node') == model.unique_id -%}
      {%- do tests.append((node.get('test_metadata') or {}).get('name')) -%}
    {%- endfor -%}
    {%- if 'listed_categories' not in tests -%}
      {%- do exceptions.warn(model.name ~ " lists categories, and no data test counts rows with other ones. Add to its"
          ~ " data_tests: listed_categories: {arguments: {relation: ref('<model with the raw columns>')}}") -%}
    {%- endif -%}
  {%- endif -%}
{%- endmacro %}

{# The feature columns of a list of encodings, in its order. #}
{% macro encoded_features(encodings) -%}
  {%- do warn_of_uncounted_categories(encodings) -%}
  {%- for encoding in encodings -%}
    {%- set kind = encoding['as'] -%}
    {%- if 'encode_' ~ kind not in context -%}
      {%- set known = [] -%}
      {%- for name in context if name.startswith('encode_') -%}{%- do known.append(name[7:]) -%}{%- endfor -%}
      {{ exceptions.raise_compiler_error("no encoding '" ~ kind ~ "' for column '" ~ encoding.column
         ~ "'. Known: " ~ known | sort | join(', ') ~ ".") }}
    {%- endif %}
  {{ context['encode_' ~ kind](encoding) }}{{ ',' if not loop.last }}
  {%- endfor %}
{%- endmacro %}
