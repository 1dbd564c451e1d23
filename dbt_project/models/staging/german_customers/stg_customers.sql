{{ config(materialized='incremental', incremental_strategy='append') }}

with landed as (

  select * from {{ ref('raw_customers') }}
  where customer_id is not null and signed_up_at is not null
    {% if is_incremental() -%}
    and known_at > {{ latest('known_at') }}
    {%- endif %}

),

kommunen as (

  -- A Kommune that has left the list keeps its row, without a state.
  select listed.kommune, described.state
  from {{ ref('kommune_index') }} as listed
  left join {{ ref('stg_kommunen') }} as described on listed.kommune = described.kommune

),

cleaned as (

  select
    customer_id,
    known_at,
    signed_up_at,
    {{ possible_birth_date('birth_date', 'signed_up_at') }} as birth_date,
    nullif(trim(kommune), '') as kommune_code,
    {{ german_state('state') }} as state,
    {{ unknown_to_null('channel') }} as channel
  from landed

),

located as (

  select
    cleaned.customer_id,
    cleaned.known_at,
    cleaned.signed_up_at,
    cleaned.birth_date,
    kommunen.kommune,
    -- A Kommune lies in one state, so it fills in a missing one.
    coalesce(cleaned.state, kommunen.state) as state,
    cleaned.channel
  from cleaned
  left join kommunen on cleaned.kommune_code = kommunen.kommune

),

final as (

  -- Merges duplicate records: max takes the value of a column from whichever record has one.
  select
    customer_id,
    known_at,
    min(signed_up_at) as signed_up_at,
    max(birth_date) as birth_date,
    max(kommune) as kommune,
    max(state) as state,
    max(channel) as channel
  from located
  group by customer_id, known_at

)

select * from final
