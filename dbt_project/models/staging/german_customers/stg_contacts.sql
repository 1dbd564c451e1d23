{{ config(materialized='incremental', incremental_strategy='append') }}

with landed as (

  select * from {{ ref('raw_contacts') }}
  where contact_id is not null and customer_id is not null and contacted_at <= known_at
    {% if is_incremental() -%}
    and known_at > {{ latest('known_at') }}
    {%- endif %}

),

{{ sign_ups(source='landed') }},

known_customers as (

  select landed.*
  from landed
  inner join sign_ups on landed.customer_id = sign_ups.customer_id and sign_ups.known_at <= landed.known_at

),

{%- if is_incremental() %}
earlier as (

  select distinct contact_id
  from {{ this }}
  where contact_id in (select contact_id from known_customers)

),
{% endif %}
{{ numbered_arrivals('known_customers', key='contact_id', order_by='known_at, contacted_at, customer_id, kind') }},

final as (

  select
    contact_id,
    customer_id,
    contacted_at,
    {{ unknown_to_null('kind') }} as kind,
    known_at
  from numbered
  where occurrence = 1
    {% if is_incremental() -%}
    and contact_id not in (select contact_id from earlier)
    {%- endif %}

)

select * from final
