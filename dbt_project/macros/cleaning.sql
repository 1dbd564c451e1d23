{# Texts trimmed and in lower case; 'unknown' and the empty text are NULL. #}
{% macro unknown_to_null(column) -%}
  nullif(nullif(lower(trim({{ column }})), 'unknown'), '')
{%- endmacro %}

{# 'yes' is true, 'no' is false, and anything else NULL, which the contract refuses where it may not be. #}
{% macro yes_no(column) -%}
  case lower(trim({{ column }})) when 'yes' then true when 'no' then false end
{%- endmacro %}
