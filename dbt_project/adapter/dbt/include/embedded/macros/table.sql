{#
  dbt-spark drops the table before the build unless `file_format` is delta. Here every table is Delta, and a commit
  replaces the existing one, so the table keeps its history.
#}
{% materialization table, adapter='embedded', supported_languages=['sql', 'python'] %}
  {%- set old_relation = load_cached_relation(this) -%}
  {%- set target_relation = this.incorporate(type='table') -%}

  {{ run_hooks(pre_hooks) }}
  {% if old_relation is not none and old_relation.is_view %}
    {% do adapter.drop_relation(old_relation) %}
  {% endif %}
  {%- call statement('main', language=model['language']) -%}
    {{ create_table_as(False, target_relation, compiled_code, model['language']) }}
  {%- endcall -%}
  {% do persist_docs(target_relation, model) %}
  {{ run_hooks(post_hooks) }}

  {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}

{#
  The adapter writes a table, completely or not at all (see tables.py), without a SQL statement from dbt. dbt still
  requires a statement to run, so each macro returns one that costs nothing.
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

{# Compiled Python model with the variables that the helper reads. A target without a schema is a temporary view. #}
{% macro py_write_table(compiled_code, target_relation) -%}
{{ compiled_code }}
frame = model(dbtObj(spark.table), spark)
target = ({{ tojson(target_relation.schema) if target_relation.include_policy.schema else None }}, {{ tojson(target_relation.identifier) }})
{%- endmacro %}

{# Does nothing: writing the table applies its constraints. #}
{% macro embedded__persist_constraints(relation, model) -%}
{%- endmacro %}

{% macro embedded__truncate_relation(relation) -%}
  {%- call statement('truncate_relation') -%}
    delete from {{ relation }}
  {%- endcall -%}
{%- endmacro %}
