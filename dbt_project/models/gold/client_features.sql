with contacts as (

  select * from {{ ref('stg_bank_contacts') }}

),

jobs as (

  select * from {{ ref('job_index') }}

),

indexed_contacts as (

  select contacts.*, jobs.job_index
  from contacts
  left join jobs on contacts.job = jobs.job

),

final as (

  select
    client_id,
    contacted_at,
    {{ encoded_features() }}
  from indexed_contacts

)

select * from final
