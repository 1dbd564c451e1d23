{#
  Body of a model that reads a source whose columns have types: Parquet files, JSON lines, an Excel workbook, a table of
  a database, or a Delta table. Its `meta.landing_source` declares place and columns; docs/bring_your_own_data.md lists
  the options. `row_number` counts from 1 in the order of the source.
#}
{% macro landing_source() -%}
  {%- if execute -%}
    {{ return(adapter.dispatch('landing_source')(model.config.meta.landing_source)) }}
  {%- endif -%}
{%- endmacro %}

{# Checks the columns of the source before it loads any row; see lakehouse/landing/sources/reading.py. #}
{% macro embedded__landing_source(source) -%}
  select * from {{ adapter.source_view(model.name, source) }}
{%- endmacro %}

{# Parquet and JSON below a volume, and Delta tables by path. No workspace has run it yet. #}
{% macro databricks__landing_source(source) -%}
  {%- if source.format not in ('parquet', 'json_lines', 'delta') -%}
    {{ exceptions.raise_compiler_error("Databricks reads no source of the format " ~ source.format ~ ". Load it as a"
       ~ " table, such as with Lakehouse Federation, and select from that table.") }}
  {%- endif -%}
  {%- set names = source.names or {} -%}
  select
    {%- for column, type in source.columns.items() %}
    cast({{ source_field(names.get(column, column)) }} as {{ type }}) as {{ sql_name(column) }},
    {%- endfor %}
    cast(row_number() over (order by monotonically_increasing_id()) as bigint) as row_number
  {%- if source.format == 'delta' %}
  from delta.{{ sql_name(source.path) }}
  {%- else %}
  from read_files({{ sql_text(source.path) }}, format => {{ sql_text('json' if source.format == 'json_lines' else 'parquet') }})
  {%- endif %}
{%- endmacro %}

{# A column of a source, or a field of an object in it, such as `address`.`zip` for address.zip. #}
{% macro source_field(name) -%}
  {%- set parts = [] -%}
  {%- for part in name.split('.') -%}
    {%- do parts.append(sql_name(part)) -%}
  {%- endfor -%}
  {{ return(parts | join('.')) }}
{%- endmacro %}
