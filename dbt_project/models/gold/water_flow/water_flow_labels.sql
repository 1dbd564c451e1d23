with forecasts as (

  select pipe, hour, as_of from {{ ref('water_flow_features') }}

),

measured as (

  select
    pipe,
    {{ hour_as_text('hour_number') }} as hour,
    centilitres / 100 as flow,
    cast(timestamp_seconds((hour_number + 1) * 3600) as timestamp) as measured_at
  from {{ ref('stg_water_flow') }}

),

final as (

  select
    forecasts.pipe,
    forecasts.hour,
    forecasts.as_of,
    cast(measured.flow as double) as flow,
    measured.measured_at
  from forecasts
  inner join measured on forecasts.pipe = measured.pipe and forecasts.hour = measured.hour

)

select * from final
