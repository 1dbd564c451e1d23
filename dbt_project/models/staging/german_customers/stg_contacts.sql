{{ config(materialized='incremental', incremental_strategy='append') }}

with landed as (

  select * from {{ ref('raw_contacts') }}
  {% if is_incremental() -%}
  where known_at > (select max(known_at) from {{ this }})
  {%- endif %}

),

final as (

  select
    contact_id,
    customer_id,
    contacted_at,
    {{ unknown_to_null('kind') }} as kind,
    known_at
  from landed

)

select * from final
