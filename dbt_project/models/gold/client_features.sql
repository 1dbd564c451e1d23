{# Encodings of raw columns as features, used in the SQL below and for requests to the endpoint. #}
{% set encodings = [
  {'column': 'age', 'as': 'number', 'minimum': 16, 'maximum': 120},
  {'column': 'age', 'as': 'cohort', 'bounds': [18, 50, 65]},
  {'column': 'job', 'as': 'category_index', 'index': 'gold.job_index'},
  {'column': 'marital', 'as': 'one_hot', 'categories': ['divorced', 'married', 'single']},
  {'column': 'education', 'as': 'ordinal', 'categories': ['primary', 'secondary', 'tertiary'], 'impute': 'secondary'},
  {'column': 'has_default', 'as': 'flag'},
  {'column': 'balance', 'as': 'number'},
  {'column': 'has_housing_loan', 'as': 'flag'},
  {'column': 'has_personal_loan', 'as': 'flag'},
  {'column': 'contact_channel', 'as': 'one_hot', 'categories': ['cellular', 'telephone']},
  {'column': 'contacts_this_campaign', 'as': 'number', 'minimum': 1},
  {'column': 'previous_contacts', 'as': 'number', 'minimum': 0},
  {'column': 'days_since_previous_contact', 'as': 'number', 'minimum': 0, 'impute': 0},
  {'column': 'previous_outcome', 'as': 'one_hot', 'categories': ['failure', 'other', 'success']},
] %}

{{ config(meta={'encodings': encodings}) }}

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
    {{ encoded_features(encodings) }}
  from indexed_contacts

)

select * from final
