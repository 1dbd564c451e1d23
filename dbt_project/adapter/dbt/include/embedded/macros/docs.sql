{# Descriptions are properties of the table: Sail has no COMMENT ON. #}
{% macro embedded__persist_docs(relation, model, for_relation, for_columns) -%}
  {%- if for_columns and config.persist_column_docs() and model.columns -%}
    {%- set there = adapter.get_columns_in_relation(relation) | map(attribute='name') | list -%}
    {%- do validate_doc_columns(relation, model.columns, there) -%}
  {%- endif -%}
{%- endmacro %}
