with contacts as (

  select * from {{ ref('stg_bank_contacts') }}

),

final as (

  select
    client_id,
    contacted_at,
    cast(subscribed as int) as subscribed
  from contacts

)

select * from final
