{{ config(materialized='incremental', incremental_strategy='append') }}

with sign_ups as (

  select customer_id, min(known_at) as known_at
  from {{ ref('stg_customers') }}
  group by customer_id

),

quarters as (

  select * from {{ ref('customer_quarters') }}

),

-- In one row: a join of millions by `<` takes them for the smaller side, and fails where memory is short.
starts as (

  select collect_set(quarter) as every_start
  from quarters
  {% if is_incremental() -%}
  where quarter > {{ latest('as_of') }}
  {%- endif %}

),

possible as (

  select sign_ups.customer_id, sign_ups.known_at, explode(starts.every_start) as as_of
  from sign_ups
  cross join starts

),

final as (

  select
    possible.customer_id,
    possible.as_of,
    cast(coalesce(quarters.revenue_cents, 0) / 100 as double) as revenue
  from possible
  left join quarters
    on possible.customer_id = quarters.customer_id and possible.as_of = quarters.quarter
  where possible.known_at < possible.as_of

)

select * from final
