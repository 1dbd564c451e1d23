{# The first query of a build on Databricks, as dbt-databricks has it. Without a workspace its client retries for minutes. #}
{% macro databricks__list_schemas(database) -%}
  {%- do require_workspace() -%}
  {{ return(run_query_as(list_schemas_sql(database), 'list_schemas')) }}
{%- endmacro %}

{# The first query of `dbt test`, which creates no schema; dbt-databricks calls it by this name. #}
{% macro get_uc_tables(relation) -%}
  {%- do require_workspace() -%}
  {{ return(run_query_as(get_uc_tables_sql(relation), 'get_uc_tables')) }}
{%- endmacro %}

{# Fails unless the target names a workspace and a SQL warehouse; `not-set` is part of the placeholders in profiles.yml. #}
{% macro require_workspace() -%}
  {%- if 'not-set' in target.host -%}
    {{ exceptions.raise_compiler_error(
      'DATABRICKS_HOST is not set, so that dbt has no workspace.\n'
      ~ '  export DATABRICKS_HOST=YOUR-WORKSPACE.cloud.databricks.com'
    ) }}
  {%- elif 'not-set' in target.http_path -%}
    {{ exceptions.raise_compiler_error(
      'DATABRICKS_HTTP_PATH is not set, so that dbt has no SQL warehouse.\n'
      ~ '  export DATABRICKS_HTTP_PATH=/sql/1.0/warehouses/ID, with an ID of: databricks warehouses list'
    ) }}
  {%- endif -%}
{%- endmacro %}
