{{ config(materialized='incremental', incremental_strategy='append') }}

with sign_ups as (

  select customer_id, min(known_at) as known_at
  from {{ ref('stg_customers') }}
  group by customer_id

),

quarters as (

  select * from {{ ref('customer_quarters') }}

),

-- One row: a `<` join with millions of rows broadcasts them as the smaller side and fails if memory is short.
starts as (

  select collect_set(quarter) as all_starts
  from quarters
  {% if is_incremental() -%}
  where quarter > {{ latest('as_of') }}
  {%- endif %}

),

customer_starts as (

  select sign_ups.customer_id, sign_ups.known_at, explode(starts.all_starts) as as_of
  from sign_ups
  cross join starts

),

final as (

  select
    customer_starts.customer_id,
    customer_starts.as_of,
    cast(coalesce(quarters.revenue_cents, 0) / 100 as double) as revenue
  from customer_starts
  left join quarters
    on customer_starts.customer_id = quarters.customer_id and customer_starts.as_of = quarters.quarter
  where customer_starts.known_at < customer_starts.as_of

)

select * from final
