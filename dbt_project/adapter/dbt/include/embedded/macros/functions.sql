{#
  dbt-spark's versions use `to_timestamp(seconds)` and computed indices. Sail reads that number as microseconds and
  accepts only a literal index. These versions give the same result on both engines.
#}

{% macro embedded__dateadd(datepart, interval, from_date_or_timestamp) -%}
  {%- set months = {'month': 1, 'quarter': 3, 'year': 12} -%}
  {%- set seconds = {
        'hour': 3600, 'minute': 60, 'second': 1, 'millisecond': 0.001,
        'microsecond': 0.000001,
      } -%}
  {%- if datepart in months -%}
    cast({{ from_date_or_timestamp }} as timestamp) + make_ym_interval(0, cast({{ interval }} * {{ months[datepart] }} as int))
  {%- elif datepart in ['day', 'week'] -%}
    cast({{ from_date_or_timestamp }} as timestamp)
      + make_dt_interval(cast({{ interval }} * {{ 7 if datepart == 'week' else 1 }} as int), 0, 0, 0)
  {%- elif datepart in seconds -%}
    cast({{ from_date_or_timestamp }} as timestamp)
      + make_dt_interval(0, 0, 0, cast({{ interval }} * {{ '%.6f' % seconds[datepart] }} as decimal(18, 6)))
  {%- else -%}
    {{ exceptions.raise_compiler_error("dateadd does not support the datepart '" ~ datepart ~ "'") }}
  {%- endif -%}
{%- endmacro %}

{% macro embedded__split_part(string_text, delimiter_text, part_number) -%}
  split_part({{ string_text }}, {{ delimiter_text }}, {{ part_number }})
{%- endmacro %}

{# Counts the boundaries between two times, exactly; a week begins on Sunday, as in dbt-spark. NULL gives NULL. #}
{% macro embedded__datediff(first_date, second_date, datepart) -%}
  ({{ _number_of(datepart, second_date) }} - {{ _number_of(datepart, first_date) }})
{%- endmacro %}

{% macro _number_of(datepart, date) -%}
  {%- set microseconds = {'hour': 3600000000, 'minute': 60000000, 'second': 1000000, 'millisecond': 1000} -%}
  {%- set day = 'cast(' ~ date ~ ' as date)' -%}
  {%- set microsecond = 'unix_micros(cast(' ~ date ~ ' as timestamp))' -%}
  {%- if datepart == 'year' -%} year({{ day }})
  {%- elif datepart == 'quarter' -%} (year({{ day }}) * 4 + quarter({{ day }}))
  {%- elif datepart == 'month' -%} (year({{ day }}) * 12 + month({{ day }}))
  {%- elif datepart == 'week' -%} cast(floor((unix_date({{ day }}) + 4) / 7) as bigint)
  {%- elif datepart == 'day' -%} unix_date({{ day }})
  {%- elif datepart == 'microsecond' -%} {{ microsecond }}
  {%- elif datepart in microseconds -%}
    {%- set size = microseconds[datepart] -%}
    (({{ microsecond }} - pmod({{ microsecond }}, {{ size }})) div {{ size }})
  {%- else -%}
    {{ exceptions.raise_compiler_error("datediff does not support the datepart '" ~ datepart ~ "'") }}
  {%- endif -%}
{%- endmacro %}

{# dbt-spark ignores the order. A limit needs single values: they are joined as hexadecimal text, which has no comma. #}
{% macro embedded__listagg(measure, delimiter_text, order_by_clause, limit_num) -%}
  {%- if not order_by_clause -%}
    {{ return(spark__listagg(measure, delimiter_text, order_by_clause, limit_num)) }}
  {%- elif not limit_num -%}
    listagg({{ measure }}, {{ delimiter_text }}) within group ({{ order_by_clause }})
  {%- elif (measure | trim | lower).startswith('distinct ') -%}
    {{ exceptions.raise_compiler_error('listagg of distinct values does not support both an order and a limit') }}
  {%- else -%}
    array_join(transform(slice(split(
      listagg(hex(cast({{ measure }} as string)), ',') within group ({{ order_by_clause }}), ','
    ), 1, {{ limit_num }}), value -> cast(unhex(value) as string)), {{ delimiter_text }})
  {%- endif -%}
{%- endmacro %}
