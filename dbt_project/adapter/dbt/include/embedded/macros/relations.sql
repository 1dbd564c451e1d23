{#
  A table is written by the adapter, whole or not at all (see tables.py), and not by a statement. dbt wants a
  statement to run all the same, so each macro leaves it one that costs nothing.
#}

{% macro embedded__create_table_as(temporary, relation, compiled_code, language='sql') -%}
  {%- if language == 'python' -%}
    {{ py_write_table(compiled_code, relation) }}
  {%- elif temporary -%}
    {{ create_temporary_view(relation, compiled_code) }}
  {%- else -%}
    {%- if config.get('contract').enforced -%}
      {{ get_assert_columns_equivalent(compiled_code) }}
      {%- set compiled_code = get_select_subquery(compiled_code) -%}
    {%- endif -%}
    {%- do adapter.write_table(relation, compiled_code, model) -%}
    select 'written' as outcome
  {%- endif -%}
{%- endmacro %}

{% macro embedded__create_view_as(relation, sql) -%}
  {%- if config.get('contract').enforced -%}
    {{ get_assert_columns_equivalent(sql) }}
  {%- endif -%}
  {%- set statement = 'create or replace view ' ~ relation ~ ' as ' ~ sql -%}
  {%- do adapter.keep_view(relation, statement) -%}
  {{ statement }}
{%- endmacro %}

{# The compiled Python model, and what the helper takes from it. #}
{% macro py_write_table(compiled_code, target_relation) -%}
{{ compiled_code }}
frame = model(dbtObj(spark.table), spark)
target = "{{ target_relation.schema }}.{{ target_relation.identifier }}"
{%- endmacro %}

{# Constraints are part of writing the table. #}
{% macro embedded__persist_constraints(relation, model) -%}
{%- endmacro %}

{# Descriptions are properties of the table: Sail has no COMMENT ON. #}
{% macro embedded__persist_docs(relation, model, for_relation, for_columns) -%}
  {%- if model.resource_type == 'model' and relation.type == 'table' -%}
    {%- do adapter.publish(relation, model) -%}
  {%- endif -%}
{%- endmacro %}

{% macro embedded__alter_relation_add_remove_columns(relation, add_columns, remove_columns) -%}
  {%- if remove_columns -%}
    {{ exceptions.raise_compiler_error('Delta Lake does not support dropping columns from tables') }}
  {%- endif -%}
  {%- do adapter.add_columns(relation, add_columns or []) -%}
{%- endmacro %}

{% macro embedded__truncate_relation(relation) -%}
  {%- call statement('truncate_relation') -%}
    delete from {{ relation }}
  {%- endcall -%}
{%- endmacro %}
