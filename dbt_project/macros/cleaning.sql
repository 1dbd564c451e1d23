{# Texts trimmed and in lower case; 'unknown' and the empty text are NULL. #}
{% macro unknown_to_null(column) -%}
  nullif(nullif(lower(trim({{ column }})), 'unknown'), '')
{%- endmacro %}

{# 'yes' is true, 'no' is false, and anything else NULL, which the contract refuses where it may not be. #}
{% macro yes_no(column) -%}
  case lower(trim({{ column }})) when 'yes' then true when 'no' then false end
{%- endmacro %}

{# Umlauts written out, in lower case, trimmed. #}
{% macro plain_spelling(column) -%}
  replace(replace(replace(replace(lower(trim({{ column }})), 'ä', 'ae'), 'ö', 'oe'), 'ü', 'ue'), 'ß', 'ss')
{%- endmacro %}

{# The official name of a state, however it is written: in any case, with umlauts or without, or as its short code. #}
{% macro german_state(column) -%}
  case {{ plain_spelling(column) }}
    {%- for code, state in german_states().items() %}
    when '{{ spelt_plainly(state) }}' then '{{ state }}'
    when '{{ code | lower }}' then '{{ state }}'
    {%- endfor %}
  end
{%- endmacro %}

{# An amount that can be: a finite number below a million millions. #}
{% macro possible_amount(column) -%}
  case when not isnan({{ column }}) and abs({{ column }}) < 1e12 then {{ column }} end
{%- endmacro %}

{# A day of birth that a customer can have: at the sign-up 14 to 110 years ago. #}
{% macro possible_birth_date(column, signed_up_at) -%}
  case when {{ years_between(column, signed_up_at) }} between 14 and 110 then {{ column }} end
{%- endmacro %}

{# Whole years from a date to a time: who is born on 29 February turns on 1 March in other years. #}
{% macro years_between(date, time) -%}
  cast(floor((
    (year({{ time }}) * 10000 + month({{ time }}) * 100 + day({{ time }}))
    - (year({{ date }}) * 10000 + month({{ date }}) * 100 + day({{ date }}))
  ) / 10000) as int)
{%- endmacro %}

{# The day on which somebody's age changes in a year, by the same rule. #}
{% macro birthday(date, year) -%}
  date_add(make_date({{ year }}, month({{ date }}), least(day({{ date }}), 28)), greatest(day({{ date }}) - 28, 0))
{%- endmacro %}

{# When what happened before a time is settled: orders may arrive 30 days late, and later ones no longer count. #}
{% macro settled_at(time) -%}
  {{ time }} + interval 30 days
{%- endmacro %}

{#
  The CTE `sign_ups`: when each customer signed up, by the first record of it, and when that arrived. What a later record
  says was not known when orders were judged. Of a run, those customers alone that rows of another CTE are of.
#}
{% macro sign_ups(of) -%}
sign_ups as (

  select customer_id, min_by(signed_up_at, known_at) as signed_up_at, min(known_at) as known_at
  from {{ ref('stg_customers') }}
  {% if is_incremental() -%}
  where customer_id in (select customer_id from {{ of }})
  {%- endif %}
  group by customer_id

)
{%- endmacro %}

{#
  The CTE `numbered`: the rows of another, each with its place among those of its key in `occurrence`, from 1. Only what
  came twice is sorted: to number every row would take most of the time of a model. A row without a key has place 1.
#}
{% macro numbered_arrivals(rows, key, order_by) -%}
doubled as (

  select {{ key }} from {{ rows }} group by {{ key }} having count(*) > 1

),

numbered as (

  select *, row_number() over (partition by {{ key }} order by {{ order_by }}) as occurrence
  from {{ rows }}
  where {{ key }} in (select {{ key }} from doubled)

  union all

  select *, 1 as occurrence
  from {{ rows }}
  where {{ key }} is null or {{ key }} not in (select {{ key }} from doubled where {{ key }} is not null)

)
{%- endmacro %}
