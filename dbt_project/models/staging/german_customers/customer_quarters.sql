{{ config(materialized='incremental', incremental_strategy='append') }}

with orders as (

  select customer_id, amount_cents, known_at, cast(date_trunc('quarter', ordered_at) as timestamp) as quarter
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

  -- Times are computed once for each quarter, and not for each order.
  select quarter, cast(add_months(quarter, 3) as timestamp) as quarter_end
  from (select distinct quarter from orders) as quarters

),

settled_quarters as (

  select ends.*, {{ settled_at('ends.quarter_end') }} as settled_at
  from ends
  cross join delivered
  where {{ settled_at('ends.quarter_end') }} <= delivered.known_until

),

settled as (

  select orders.*, settled_quarters.quarter_end
  from orders
  inner join settled_quarters on orders.quarter = settled_quarters.quarter
  where orders.known_at < settled_quarters.settled_at

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
