{# The largest of a column that earlier runs have written; before every time where they have written nothing. #}
{% macro latest(column) -%}
  {% if is_incremental() -%}
  (select coalesce(max({{ column }}), timestamp'1900-01-01 00:00:00') from {{ this }})
  {%- else -%}
  timestamp'1900-01-01 00:00:00'
  {%- endif %}
{%- endmacro %}
