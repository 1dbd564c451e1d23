with orders as (

  select order_id, customer_id, cast(ordered_at as date) as day, known_at, amount_cents
  from {{ ref('stg_orders') }}
  where refused_because is null

),

located as (

  -- The state of the customer as known when the order arrived; a later move changes nothing.
  select
    orders.order_id,
    orders.day,
    orders.known_at,
    orders.amount_cents,
    max_by(customers.state, customers.known_at) as state
  from orders
  inner join {{ ref('stg_customers') }} as customers
    on orders.customer_id = customers.customer_id and customers.known_at <= orders.known_at
  group by 1, 2, 3, 4

),

final as (

  select state as region, day, known_at, amount_cents
  from located
  where state is not null
  union all
  select {{ sql_text(germany()) }} as region, day, known_at, amount_cents
  from located
  where state is not null

)

select * from final
