with forecasts as (

  select region, day, as_of from {{ ref('region_revenue_features') }}

),

delivered as (

  select max(known_at) as known_until from {{ ref('stg_orders') }}

),

revenues as (

  select region, date_format(day, 'yyyy-MM-dd') as day, sum(amount_cents) / 100 as revenue
  from {{ ref('region_orders') }}
  where known_at < {{ settled_at('cast(date_add(day, 1) as timestamp)') }}
  group by 1, 2

),

final as (

  select
    forecasts.region,
    forecasts.day,
    forecasts.as_of,
    cast(coalesce(revenues.revenue, 0) as double) as revenue,
    {{ settled_at('cast(date_add(cast(forecasts.day as date), 1) as timestamp)') }} as settled_at
  from forecasts
  cross join delivered
  left join revenues on forecasts.region = revenues.region and forecasts.day = revenues.day
  where {{ settled_at('cast(date_add(cast(forecasts.day as date), 1) as timestamp)') }} <= delivered.known_until

)

select * from final
