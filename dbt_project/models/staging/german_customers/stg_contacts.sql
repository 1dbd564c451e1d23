{{ config(materialized='incremental', incremental_strategy='append') }}

with landed as (

  select * from {{ ref('raw_contacts') }}
  where contact_id is not null and customer_id is not null and contacted_at is not null
    {% if is_incremental() -%}
    and known_at > (select max(known_at) from {{ this }})
    {%- endif %}

),

{%- if is_incremental() %}
earlier as (

  select distinct contact_id
  from {{ this }}
  where contact_id in (select contact_id from landed)

),
{% endif %}
{{ numbered_arrivals('landed', key='contact_id', order_by='known_at, contacted_at, customer_id, kind') }},

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
