{{ config(materialized='incremental', incremental_strategy='append') }}

with sign_ups as (

  select customer_id, min(known_at) as known_at
  from {{ ref('stg_customers') }}
  group by customer_id

),

quarters as (

  select * from {{ ref('customer_quarters') }}

),

starts as (

  select distinct quarter as as_of
  from quarters
  {% if is_incremental() -%}
  where quarter > (select max(as_of) from {{ this }})
  {%- endif %}

),

final as (

  select
    sign_ups.customer_id,
    starts.as_of,
    cast(coalesce(quarters.revenue_cents, 0) / 100 as double) as revenue
  from sign_ups
  inner join starts on sign_ups.known_at < starts.as_of
  left join quarters
    on sign_ups.customer_id = quarters.customer_id and starts.as_of = quarters.quarter

)

select * from final
