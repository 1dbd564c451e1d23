{# dbt's default: dbt-spark's requires `file_format: delta` on each snapshot, and here every table is Delta. #}
{% materialization snapshot, adapter='embedded' %}
  {%- set outcome = materialization_snapshot_default() -%}
  {%- do adapter.publish(this, model) -%}
  {{ return(outcome) }}
{% endmaterialization %}

{% macro embedded__snapshot_merge_sql(target, source, insert_cols) -%}
  {{ default__snapshot_merge_sql(target, source, insert_cols) }}
{%- endmacro %}

{% macro embedded__create_columns(relation, columns) -%}
  {%- do adapter.add_columns(relation, columns) -%}
{%- endmacro %}

{% macro embedded__post_snapshot(staging_relation) -%}
  {%- do adapter.drop_temporary_view(staging_relation) -%}
{%- endmacro %}

{# Spark has no database above the schema, and the node of a snapshot lacks this field. #}
{% macro embedded__get_or_create_relation(database, schema, identifier, type) -%}
  {{ return(default__get_or_create_relation(none, schema, identifier, type)) }}
{%- endmacro %}
