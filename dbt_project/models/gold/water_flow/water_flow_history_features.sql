{# Encodings of raw columns as features, used in the SQL below and for requests to the endpoint. #}
{% set encodings = [] %}
{% for hours in range(1, recent_hours() + 1) %}
{% do encodings.append({'column': 'hours_ago_' ~ hours, 'as': 'number', 'type': 'double'}) %}
{% endfor %}

{{ config(meta={'encodings': encodings}) }}

with {{ filled_hours() }}

rows_of_forecasts as (

  select
    pipe,
    hour,
    as_of,
    cast(unix_seconds(as_of) / 3600 as bigint) as origin,
    level,
    daily_error
  from {{ ref('water_flow_features') }}

),

origins as (

  select distinct pipe, origin from rows_of_forecasts

),

recent as (

  select
    origins.pipe,
    origins.origin,
    {% for hours in range(1, recent_hours() + 1) -%}
    max(case when origins.origin - filled.hour_number = {{ hours }} then filled.centilitres end) / 100
      as hours_ago_{{ hours }}{{ ',' if not loop.last }}
    {% endfor %}
  from origins
  inner join filled
    on
      origins.pipe = filled.pipe
      and filled.hour_number between origins.origin - {{ recent_hours() }} and origins.origin - 1
  group by 1, 2

),

raw as (

  select
    rows_of_forecasts.pipe,
    rows_of_forecasts.hour,
    rows_of_forecasts.as_of,
    {% for each in encodings -%}
    (recent.{{ each.column }} - rows_of_forecasts.level) / rows_of_forecasts.daily_error
      as {{ each.column }}{{ ',' if not loop.last }}
    {% endfor %}
  from rows_of_forecasts
  inner join recent
    on rows_of_forecasts.pipe = recent.pipe and rows_of_forecasts.origin = recent.origin

),

final as (

  select
    pipe,
    hour,
    as_of,
    {{ encoded_features(encodings) }}
  from raw

)

select * from final
