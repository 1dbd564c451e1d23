with landed as (

  select * from {{ ref('raw_kommunen') }}

),

final as (

  select
    nullif(trim(kommune), '') as kommune,
    trim(name) as name,
    {{ german_state('state') }} as state,
    nullif(cast(population as bigint), 0) as population
  from landed

)

select * from final
