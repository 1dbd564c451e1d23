{#
  Rows of `relation` whose category is not in the list of a `one_hot` or `ordinal` encoding of the feature table. The
  gold table treats such a category as missing, and an endpoint refuses it. The test warns with the number of rows;
  `dbt show --select <test>` lists column, category and rows. `relation` is the model that holds the raw columns.
#}
{% test listed_categories(model, relation) %}
{{ config(severity='warn', fail_calc='coalesce(sum(row_count), 0)') }}
{%- if execute %}
  {%- set encodings = graph.nodes[context.model.attached_node].config.meta.get('encodings', []) | selectattr('categories', 'defined') | list %}
  {%- if not encodings %}
    {{ exceptions.raise_compiler_error("listed_categories: " ~ model ~ " declares no encoding with `categories` in"
       ~ " its meta.encodings. Remove the test from it.") }}
  {%- endif %}
  {%- for encoding in encodings %}
select {{ sql_text(encoding.column) }} as column_name, {{ encoding.column }} as category, count(*) as row_count
from {{ relation }}
where {{ encoding.column }} not in ({{ sql_texts(encoding.categories) }})
group by {{ encoding.column }}
{{ 'union' if not loop.last }}
  {%- endfor %}
{%- endif %}
{% endtest %}
