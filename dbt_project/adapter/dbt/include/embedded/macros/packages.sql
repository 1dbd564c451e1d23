{#
  Macros of the package dbt_utils that have no form for this engine. dbt finds them here if `dispatch` in dbt_project.yml
  lists `dbt` in front of the package.
#}

{% macro embedded__deduplicate(relation, partition_by, order_by) -%}
  select *
  from {{ relation }} as deduplicated
  qualify row_number() over (partition by {{ partition_by }} order by {{ order_by }}) = 1
{%- endmacro %}

{# The folder is the catalogue, and there is no information_schema. #}
{% macro embedded__get_tables_by_pattern_sql(schema_pattern, table_pattern, exclude='', database=target.database) -%}
  select table_schema, table_name, table_type
  from values ('', '', '')
  {%- for relation in adapter.all_relations() -%}
    , ({{ _literal(relation.schema) }}, {{ _literal(relation.identifier) }}, {{ _literal(relation.type) }})
  {%- endfor %} as relations (table_schema, table_name, table_type)
  where table_name <> ''
    and table_schema ilike {{ _literal(schema_pattern) }}
    and table_name ilike {{ _literal(table_pattern) }}
    and table_name not ilike {{ _literal(exclude) }}
{%- endmacro %}

{% macro embedded__get_tables_by_prefix_sql(schema, prefix, exclude='', database=target.database) -%}
  {{ embedded__get_tables_by_pattern_sql(schema, prefix ~ '%', exclude, database) }}
{%- endmacro %}

{% macro _literal(text) -%}
  '{{ (text | string).replace('\\', '\\\\').replace("'", "\\'") }}'
{%- endmacro %}
