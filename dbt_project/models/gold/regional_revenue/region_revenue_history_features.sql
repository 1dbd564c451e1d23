{# Encodings of raw columns as features, used in the SQL below and for requests to the endpoint. #}
{% set encodings = [] %}
{% for days in range(1, recent_days() + 1) %}
{% do encodings.append({'column': 'days_ago_' ~ days, 'as': 'number', 'type': 'double'}) %}
{% endfor %}

{{ config(meta={'encodings': encodings}) }}

with {{ region_histories() }}

recent as (

  select
    region,
    origin,
    {% for days in range(1, recent_days() + 1) -%}
    max(case when days_ago = {{ days }} then cents end) / 100 as days_ago_{{ days }}{{ ',' if not loop.last }}
    {% endfor %}
  from history
  where days_ago <= {{ recent_days() }}
  group by region, origin

),

rows_of_forecasts as (

  select region, day, as_of, level, seasonal_error from {{ ref('region_revenue_features') }}

),

raw as (

  select
    rows_of_forecasts.region,
    rows_of_forecasts.day,
    rows_of_forecasts.as_of,
    {% for each in encodings -%}
    (recent.{{ each.column }} - rows_of_forecasts.level) / rows_of_forecasts.seasonal_error
      as {{ each.column }}{{ ',' if not loop.last }}
    {% endfor %}
  from rows_of_forecasts
  inner join recent
    on rows_of_forecasts.region = recent.region and rows_of_forecasts.as_of = cast(recent.origin as timestamp)

),

final as (

  select
    region,
    day,
    as_of,
    {{ encoded_features(encodings) }}
  from raw

)

select * from final
