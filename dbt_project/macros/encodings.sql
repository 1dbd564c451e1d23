{#
  From one raw column to feature columns. Each macro can be called alone. `encoded_features` calls them for a list
  that a feature table declares at its head and puts into its `meta.encodings`: there the endpoint reads the same
  list, and encodes a request as the table was encoded.
#}

{# The slug of a category, as it ends a column's name: 'Baden-Württemberg' -> 'baden_wuerttemberg'. #}
{% macro category_slug(category) -%}
  {{ return(modules.re.sub('[^a-z0-9]+', '_', spelt_plainly(category)).strip('_')) }}
{%- endmacro %}

{# One 0/1 column for each of a fixed list of categories; NULL is 0 in all of them. #}
{% macro one_hot(column, categories) -%}
  {%- for category in categories %}
  cast(coalesce({{ column }} = '{{ category | replace("'", "''") }}', false) as int)
    as {{ column }}_{{ category_slug(category) }}{{ ',' if not loop.last }}
  {%- endfor %}
{%- endmacro %}

{# The cohort of an age in years: 0 unknown, 1 below the first bound, 2 from the first to below the second, ... #}
{% macro age_cohort(column, bounds) -%}
  case
    when {{ column }} is null then 0
    {%- for bound in bounds %}
    when {{ column }} < {{ bound }} then {{ loop.index }}
    {%- endfor %}
    else {{ bounds | length + 1 }}
  end as {{ column }}_cohort
{%- endmacro %}

{# The category's integer from its index table (see `category_index`), joined beforehand; 0 is unknown. #}
{% macro indexed(column) -%}
  coalesce({{ column }}_index, 0) as {{ column }}_index
{%- endmacro %}

{# The rank of an ordered category, from 1; NULL takes the imputed one, and is marked. #}
{% macro ordinal(column, categories, impute) -%}
  case coalesce({{ column }}, '{{ impute }}')
    {%- for category in categories %}
    when '{{ category }}' then {{ loop.index }}
    {%- endfor %}
  end as {{ column }}_level,
  {{ is_missing(column) }}
{%- endmacro %}

{# A number as it is; where `impute` is given, NULL takes it, and is marked. #}
{% macro number(column, impute=none) -%}
  {%- if impute is none -%} {{ column }}
  {%- else -%} coalesce({{ column }}, {{ impute }}) as {{ column }},
  {{ is_missing(column) }}
  {%- endif -%}
{%- endmacro %}

{# A boolean as 0/1. #}
{% macro flag(column) -%}
  cast({{ column }} as int) as {{ column }}
{%- endmacro %}

{% macro is_missing(column) -%}
  cast({{ column }} is null as int) as {{ column }}_is_missing
{%- endmacro %}

{# The feature columns of a list of encodings, in its order. #}
{% macro encoded_features(encodings) -%}
  {%- for encoding in encodings -%}
    {%- set column, kind = encoding.column, encoding['as'] -%}
    {%- if kind == 'number' %}
  {{ number(column, encoding.get('impute')) }}
    {%- elif kind == 'flag' %}
  {{ flag(column) }}
    {%- elif kind == 'cohort' %}
  {{ age_cohort(column, encoding.bounds) }}
    {%- elif kind == 'one_hot' %}
  {{ one_hot(column, encoding.categories) }}
    {%- elif kind == 'ordinal' %}
  {{ ordinal(column, encoding.categories, encoding.impute) }}
    {%- elif kind == 'category_index' %}
  {{ indexed(column) }}
    {%- else -%}
      {{ exceptions.raise_compiler_error("no encoding '" ~ kind ~ "' for column '" ~ column
         ~ "'. Known: number, flag, cohort, one_hot, ordinal, category_index.") }}
    {%- endif -%}
    {{ ',' if not loop.last }}
  {%- endfor %}
{%- endmacro %}
