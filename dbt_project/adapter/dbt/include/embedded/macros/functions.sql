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
