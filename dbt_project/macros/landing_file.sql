{#
  The whole body of a model that is a delimited landing file, which its `meta.landing_file` declares:
  {path, columns, delimiter}, gzip by its ending. Every field is text, and `row_number` counts from 1 in file order.
#}
{% macro landing_file() -%}
  {%- if execute -%}
    {%- set file = model.config.meta.landing_file -%}
    {{ return(adapter.dispatch('landing_file')(file.path, file.columns, file.delimiter)) }}
  {%- endif -%}
{%- endmacro %}

{# Read whole, or refused with the line that is wrong: lakehouse/landing.py. #}
{% macro embedded__landing_file(path, columns, delimiter) -%}
  select * from {{ adapter.landing_view(model.name, path, columns, delimiter) }}
{%- endmacro %}

{# A path below a volume: LAKEHOUSE_LANDING says which. No workspace has run it yet. #}
{% macro databricks__landing_file(path, columns, delimiter) -%}
  select *, row_number() over (order by monotonically_increasing_id()) as row_number
  from read_files(
    {{ sql_text(path) }}, format => 'csv', header => true, sep => {{ sql_text(delimiter) }}, mode => 'FAILFAST',
    schema => '{% for column in columns %}{{ sql_name(column) }} string{{ ', ' if not loop.last }}{% endfor %}'
  )
{%- endmacro %}
