{# dbt's default: Sail has no SHALLOW CLONE, so a clone is a view of the original table. #}
{% materialization clone, adapter='embedded' %}
  {{ return(materialization_clone_default()) }}
{% endmaterialization %}

{% macro embedded__can_clone_table() -%}
  {{ return(False) }}
{%- endmacro %}
