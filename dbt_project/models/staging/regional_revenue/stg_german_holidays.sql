with landed as (

  select * from {{ ref('raw_german_holidays') }}

),

final as (

  -- Two holidays may fall on one day.
  select
    {{ german_state('state') }} as state,
    cast(day as date) as day,
    min(name) as name
  from landed
  group by 1, 2

)

select * from final
