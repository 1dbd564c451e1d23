{# Name of the country as a region: the sum of its states. #}
{% macro germany() -%} Deutschland {%- endmacro %}

{# Days of the horizon of a forecast, the first of which is the day of the origin. #}
{% macro horizon_days() -%} 14 {%- endmacro %}

{# Weeks before the origin that a forecast looks at. #}
{% macro history_weeks() -%} 8 {%- endmacro %}

{# CTE `steps`: the days of the horizon, from 0. #}
{% macro steps() -%}
steps as (

  select explode(sequence(0, {{ horizon_days() }} - 1)) as days_ahead

)
{%- endmacro %}
