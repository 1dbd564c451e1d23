{% materialization view, adapter='embedded' -%}
  {{ return(create_or_replace_view()) }}
{%- endmaterialization %}

{# Made by the adapter, which keeps the SQL of a view that could be made. #}
{% macro embedded__create_view_as(relation, sql) -%}
  {%- if config.get('contract').enforced -%}
    {{ get_assert_columns_equivalent(sql) }}
  {%- endif -%}
  {%- do adapter.write_view(relation, sql) -%}
  select 'written' as outcome
{%- endmacro %}
