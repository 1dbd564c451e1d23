{{ config(materialized='incremental', incremental_strategy='append') }}

with landed as (

  select order_id, customer_id, ordered_at, {{ possible_amount('amount') }} as amount, known_at
  from {{ ref('raw_orders') }}
  {% if is_incremental() -%}
  where known_at > {{ latest('known_at') }}
  {%- endif %}

),

{{ sign_ups(source='landed') }},

{%- if is_incremental() %}
earlier as (

  select distinct order_id
  from {{ this }}
  where order_id in (select order_id from landed)

),
{% endif %}
{{ numbered_arrivals('landed', key='order_id', order_by='known_at, ordered_at, customer_id, amount') }},

final as (

  select
    landed.order_id,
    landed.customer_id,
    landed.ordered_at,
    cast(round(landed.amount * 100) as bigint) as amount_cents,
    landed.known_at,
    case
      when landed.order_id is null or landed.customer_id is null or landed.ordered_at is null then 'no key'
      when landed.occurrence > 1 then 'came twice'
      {%- if is_incremental() %}
      when earlier.order_id is not null then 'came twice'
      {%- endif %}
      when landed.amount is null then 'no amount'
      when landed.amount <= 0 then 'amount not above 0'
      when landed.ordered_at > landed.known_at then 'ordered after it was known'
      when sign_ups.customer_id is null or sign_ups.known_at > landed.known_at then 'unknown customer'
      when landed.ordered_at < sign_ups.signed_up_at then 'before the sign-up'
    end as refused_because
  from numbered as landed
  left join sign_ups on landed.customer_id = sign_ups.customer_id
  {%- if is_incremental() %}
  left join earlier on landed.order_id = earlier.order_id
  {%- endif %}

)

select * from final
