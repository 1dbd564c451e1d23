{#
  Rows with a value outside the bounds. Both bounds are inclusive; an omitted bound is open. A bound is a number or, as
  text, a SQL expression.
#}
{% test in_range(model, column_name, minimum=none, maximum=none) %}
select {{ column_name }}
from {{ model }}
where false
  {%- if minimum is not none %} or {{ column_name }} < {{ sql_number(minimum) if minimum is number else minimum }} {%- endif %}
  {%- if maximum is not none %} or {{ column_name }} > {{ sql_number(maximum) if maximum is number else maximum }} {%- endif %}
{% endtest %}
