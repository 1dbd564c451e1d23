{#
  Reads the columns from the session, like `adapter.get_columns_in_relation`. On Sail, dbt-spark's DESCRIBE finds no
  columns in a table registered by its location, and a snapshot with `hard_deletes: new_record` would write NULLs.
#}
{% macro embedded__get_columns_in_relation(relation) -%}
  {{ return(adapter.get_columns_in_relation(relation)) }}
{%- endmacro %}
