with landed as (

  select
    cast(floor(unix_seconds(cast(time as timestamp)) / 3600) as bigint) as hour_number,
    cast(round(cast(litres_a_second as double) * 100) as bigint) as centilitres
  from {{ ref('raw_water_flow') }}
  where litres_a_second is not null and trim(litres_a_second) <> ''

),

final as (

  -- An hour that came twice has the mean of both.
  select
    'Tecnojest' as pipe,
    hour_number,
    cast(timestamp_seconds(hour_number * 3600) as timestamp) as hour,
    cast(round(avg(centilitres)) as bigint) as centilitres
  from landed
  group by hour_number

)

select * from final
