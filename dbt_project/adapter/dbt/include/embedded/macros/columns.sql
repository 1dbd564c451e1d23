{#
  The session is asked, as by `adapter.get_columns_in_relation`. dbt-spark's DESCRIBE finds no columns on Sail in a
  table that was registered by its location, and a snapshot with `hard_deletes: new_record` would write NULLs.
#}
{% macro embedded__get_columns_in_relation(relation) -%}
  {{ return(adapter.get_columns_in_relation(relation)) }}
{%- endmacro %}
