{#
  Body of a model that reads a delimited landing file. Its `meta.landing_file` declares {path, columns, delimiter}; the
  ending of the path marks gzip. Every field is text, and `row_number` counts from 1 in file order.
#}
{% macro landing_file() -%}
  {%- if execute -%}
    {%- set file = model.config.meta.landing_file -%}
    {{ return(adapter.dispatch('landing_file')(file.path, file.columns, file.delimiter)) }}
  {%- endif -%}
{%- endmacro %}

{# Reads the complete file or refuses it with the number of the faulty line; see lakehouse/landing/landing_file.py. #}
{% macro embedded__landing_file(path, columns, delimiter) -%}
  select * from {{ adapter.landing_view(model.name, path, columns, delimiter) }}
{%- endmacro %}

{# Reads a path below a volume, which LAKEHOUSE_LANDING names. No workspace has run it yet. #}
{% macro databricks__landing_file(path, columns, delimiter) -%}
  select *, row_number() over (order by monotonically_increasing_id()) as row_number
  from read_files(
    {{ sql_text(path) }}, format => 'csv', header => true, sep => {{ sql_text(delimiter) }}, mode => 'FAILFAST',
    schema => '{% for column in columns %}{{ sql_name(column) }} string{{ ', ' if not loop.last }}{% endfor %}'
  )
{%- endmacro %}
