{% materialization view, adapter='embedded' -%}
  {%- set outcome = create_or_replace_view() -%}
  {# Stores the SQL of the created view, so that the view outlives the process. #}
  {%- do adapter.store_view(this, _create_view(this, sql)) -%}
  {{ return(outcome) }}
{%- endmaterialization %}

{% macro embedded__create_view_as(relation, sql) -%}
  {%- if config.get('contract').enforced -%}
    {{ get_assert_columns_equivalent(sql) }}
  {%- endif -%}
  {{ _create_view(relation, sql) }}
{%- endmacro %}

{% macro _create_view(relation, sql) -%}
  create or replace view {{ relation }} as {{ sql }}
{%- endmacro %}
