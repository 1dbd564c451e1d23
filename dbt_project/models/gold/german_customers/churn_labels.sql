{{ config(materialized='incremental', incremental_strategy='append') }}

with quarters as (

  select * from {{ ref('customer_quarters') }}

),

last_settled as (

  select max(quarter) as quarter from quarters

),

final as (

  select
    active.customer_id,
    active.quarter_end as as_of,
    cast(coalesce(following.orders, 0) = 0 as int) as churned
  from quarters as active
  cross join last_settled
  left join quarters as following
    on active.customer_id = following.customer_id and active.quarter_end = following.quarter
  where active.orders_known_at_end > 0
    and active.quarter_end <= last_settled.quarter
    {% if is_incremental() -%}
    and active.quarter_end > {{ latest('as_of') }}
    {%- endif %}

)

select * from final
