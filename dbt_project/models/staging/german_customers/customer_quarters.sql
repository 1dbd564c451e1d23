{{ config(materialized='incremental', incremental_strategy='append') }}

with orders as (

  select *, cast(date_trunc('quarter', ordered_at) as timestamp) as quarter
  from {{ ref('stg_orders') }}
  where refused_because is null
    {% if is_incremental() -%}
    and ordered_at >= {{ latest('quarter_end') }}
    {%- endif %}

),

delivered as (

  select max(known_at) as known_until from {{ ref('stg_orders') }}

),

ends as (

  select *, cast(add_months(quarter, 3) as timestamp) as quarter_end from orders

),

settled as (

  select ends.*
  from ends
  cross join delivered
  where {{ settled_at('quarter_end') }} <= delivered.known_until
    and ends.known_at < {{ settled_at('quarter_end') }}

),

final as (

  select
    customer_id,
    quarter,
    quarter_end,
    cast(count_if(known_at < quarter_end) as int) as orders_known_at_end,
    cast(count(*) as int) as orders,
    cast(sum(amount_cents) as bigint) as revenue_cents
  from settled
  group by customer_id, quarter, quarter_end

)

select * from final
