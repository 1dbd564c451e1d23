{# Descriptions are table properties, because Sail has no COMMENT ON. #}
{% macro embedded__persist_docs(relation, model, for_relation, for_columns) -%}
  {%- if for_columns and config.persist_column_docs() and model.columns -%}
    {%- set existing = adapter.get_columns_in_relation(relation) | map(attribute='name') | list -%}
    {%- do validate_doc_columns(relation, model.columns, existing) -%}
  {%- endif -%}
{%- endmacro %}
