with reviews as (

  select * from {{ ref('stg_clothing_reviews') }}

),

final as (

  select
    review_id,
    reviewed_at,
    cast(recommended as int) as recommended
  from reviews

)

select * from final
