with reviews as (

  select * from {{ ref('raw_clothing_reviews') }}

),

final as (

  select
    row_number as review_id,
    -- The source has no time. Every review has the same, before any use of it.
    cast('2000-01-01 00:00:00' as timestamp) as reviewed_at,
    clothing_id,
    cast(age as int) as age,
    {{ joined_texts(['title', 'review_text']) }} as review,
    lower({{ clean_text('division_name') }}) as division,
    lower({{ clean_text('department_name') }}) as department,
    lower({{ clean_text('class_name') }}) as class,
    cast(rating as int) as rating,
    cast(positive_feedback_count as int) as positive_feedback_count,
    recommended = 1 as recommended
  from reviews

)

select * from final
