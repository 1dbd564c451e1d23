{# Trims and lowercases a text; 'unknown' and the empty text become NULL. #}
{% macro unknown_to_null(column) -%}
  nullif(nullif(lower(trim({{ column }})), 'unknown'), '')
{%- endmacro %}

{# 'yes' is true, 'no' is false, anything else is NULL. The model's contract refuses NULL in a NOT NULL column. #}
{% macro yes_no(column) -%}
  case lower(trim({{ column }})) when 'yes' then true when 'no' then false end
{%- endmacro %}

{# Trims and lowercases a text and transliterates its umlauts. #}
{% macro plain_spelling(column) -%}
  replace(replace(replace(replace(lower(trim({{ column }})), 'ä', 'ae'), 'ö', 'oe'), 'ü', 'ue'), 'ß', 'ss')
{%- endmacro %}

{# Official name of a state from any spelling: any case, with or without umlauts, or the two-letter code. #}
{% macro german_state(column) -%}
  case {{ plain_spelling(column) }}
    {%- for code, state in german_states().items() %}
    when {{ sql_text(spelt_plainly(state)) }} then {{ sql_text(state) }}
    when {{ sql_text(code | lower) }} then {{ sql_text(state) }}
    {%- endfor %}
  end
{%- endmacro %}

{# A plausible amount: a finite number with an absolute value below 1e12; anything else is NULL. #}
{% macro possible_amount(column) -%}
  case when not isnan({{ column }}) and abs({{ column }}) < 1e12 then {{ column }} end
{%- endmacro %}

{# A plausible date of birth: 14 to 110 years before the sign-up; anything else is NULL. #}
{% macro possible_birth_date(column, signed_up_at) -%}
  case when {{ years_between(column, signed_up_at) }} between 14 and 110 then {{ column }} end
{%- endmacro %}

{# Whole years from a date to a time. A birthday on 29 February falls on 1 March in other years. #}
{% macro years_between(date, time) -%}
  cast(floor((
    (year({{ time }}) * 10000 + month({{ time }}) * 100 + day({{ time }}))
    - (year({{ date }}) * 10000 + month({{ date }}) * 100 + day({{ date }}))
  ) / 10000) as int)
{%- endmacro %}

{# Birthday in the given year, by the same rule for 29 February. #}
{% macro birthday(date, year) -%}
  date_add(make_date({{ year }}, month({{ date }}), least(day({{ date }}), 28)), greatest(day({{ date }}) - 28, 0))
{%- endmacro %}

{# Time at which all events before `time` are settled: orders arrive up to 30 days late, and later ones do not count. #}
{% macro settled_at(time) -%}
  {{ time }} + interval 30 days
{%- endmacro %}

{#
  CTE `sign_ups`: the sign-up time of each customer, from the first record, and the arrival time of that record. Later
  records were not known when the orders were checked. An incremental run reads only the customers of the CTE `source`.
#}
{% macro sign_ups(source) -%}
sign_ups as (

  select customer_id, min_by(signed_up_at, known_at) as signed_up_at, min(known_at) as known_at
  from {{ ref('stg_customers') }}
  {% if is_incremental() -%}
  where customer_id in (select customer_id from {{ source }})
  {%- endif %}
  group by customer_id

)
{%- endmacro %}

{#
  CTE `numbered`: the rows of another CTE, numbered from 1 within their key in `occurrence`. Only duplicate keys are
  sorted, because numbering every row takes most of the time of a model. A row without a key has number 1.
#}
{% macro numbered_arrivals(rows, key, order_by) -%}
duplicates as (

  select {{ key }} from {{ rows }} group by {{ key }} having count(*) > 1

),

numbered as (

  select *, row_number() over (partition by {{ key }} order by {{ order_by }}) as occurrence
  from {{ rows }}
  where {{ key }} in (select {{ key }} from duplicates)

  union all

  select *, 1 as occurrence
  from {{ rows }}
  where {{ key }} is null or {{ key }} not in (select {{ key }} from duplicates where {{ key }} is not null)

)
{%- endmacro %}

{# Trims a text and joins runs of blanks, line ends among them, to one space; a blank text becomes NULL. #}
{% macro clean_text(column) -%}
  nullif(trim(regexp_replace({{ column }}, {{ sql_text('[\\s\u00a0]+') }}, ' ')), '')
{%- endmacro %}

{# Several texts as one, on a line each and without the blank ones; NULL if all are blank. #}
{% macro joined_texts(columns) -%}
  {%- set cleaned = [] -%}
  {%- for column in columns -%}{%- do cleaned.append(clean_text(column)) -%}{%- endfor -%}
  nullif(concat_ws({{ sql_text('\n') }}, {{ cleaned | join(', ') }}), '')
{%- endmacro %}
