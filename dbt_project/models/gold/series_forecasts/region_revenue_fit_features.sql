{# Encodings of raw columns as features, used in the SQL below and for requests to the endpoint. #}
{% set encodings = [
  {'column': 'auto_ets', 'as': 'number', 'type': 'double'},
  {'column': 'auto_theta', 'as': 'number', 'type': 'double'},
  {'column': 'mfles', 'as': 'number', 'type': 'double'},
] %}

{{ config(meta={'encodings': encodings}) }}

with rows_of_forecasts as (

  select region, day, as_of, days_ahead, level, seasonal_error from {{ ref('region_revenue_features') }}

),

fits as (

  select * from {{ ref('region_revenue_fits') }}

),

raw as (

  select
    rows_of_forecasts.region,
    rows_of_forecasts.day,
    rows_of_forecasts.as_of,
    {% for each in encodings -%}
    (element_at(fits.{{ each.column }}, rows_of_forecasts.days_ahead + 1) - rows_of_forecasts.level)
    / rows_of_forecasts.seasonal_error as {{ each.column }}{{ ',' if not loop.last }}
    {% endfor %}
  from rows_of_forecasts
  inner join fits
    on rows_of_forecasts.region = fits.region and rows_of_forecasts.as_of = cast(fits.origin as timestamp)

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
