{# Largest value of a timestamp column from earlier runs; 1900-01-01 if they wrote nothing. #}
{% macro latest(column) -%}
  {% if is_incremental() -%}
  (select coalesce(max({{ column }}), timestamp'1900-01-01 00:00:00') from {{ this }})
  {%- else -%}
  timestamp'1900-01-01 00:00:00'
  {%- endif %}
{%- endmacro %}
