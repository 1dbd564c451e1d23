{# States that are not on the official list. #}
{% test official_state(model, column_name) %}
select {{ column_name }}
from {{ model }}
where {{ column_name }} not in ('{{ german_states().values() | join("', '") }}')
{% endtest %}
