{# States that are not on the official list. #}
{% test official_state(model, column_name) %}
select {{ column_name }}
from {{ model }}
where {{ column_name }} not in ({{ sql_texts(german_states().values()) }})
{% endtest %}
