{# `load_csv_rows` writes a seed in one step, so creating and emptying the table do nothing. #}

{% macro embedded__create_csv_table(model, agate_table) -%}
  {{ return('') }}
{%- endmacro %}

{% macro embedded__reset_csv_table(model, full_refresh, old_relation, agate_table) -%}
  {{ return('') }}
{%- endmacro %}

{% macro embedded__load_csv_rows(model, agate_table) -%}
  {%- set declared = model['config'].get('column_types', {}) -%}
  {%- set types = {} -%}
  {%- for name in agate_table.column_names -%}
    {%- do types.update({name: declared.get(name, adapter.convert_type(agate_table, loop.index0))}) -%}
  {%- endfor -%}
  {%- do adapter.write_seed(this, agate_table, types, model) -%}
  {{ return('') }}
{%- endmacro %}
