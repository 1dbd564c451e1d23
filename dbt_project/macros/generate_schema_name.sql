{#
  Schemas are named `staging` and `gold` in every home, without the target's schema as a prefix. In a workspace the
  variable `name_prefix` precedes them, so that several deployments share a catalog.
#}
{% macro generate_schema_name(custom_schema_name, node) -%}
  {{ var('name_prefix', '') ~ custom_schema_name | trim if custom_schema_name else target.schema }}
{%- endmacro %}
