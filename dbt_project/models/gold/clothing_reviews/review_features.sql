{# Encodings of raw columns as features, used in the SQL below and for requests to the endpoint. #}
{% set encodings = [
  {'column': 'review', 'as': 'text', 'words': [1, 2]},
  {'column': 'age', 'as': 'cohort', 'bounds': [18, 50, 65]},
  {'column': 'department', 'as': 'one_hot', 'categories': ['bottoms', 'dresses', 'intimate', 'jackets', 'tops', 'trend']},
] %}

{{ config(meta={'encodings': encodings}) }}

with reviews as (

  select * from {{ ref('stg_clothing_reviews') }}

),

final as (

  select
    review_id,
    reviewed_at,
    {{ encoded_features(encodings) }}
  from reviews

)

select * from final
