{# Encodings of raw columns as features, used in the SQL below and for requests to the endpoint. #}
{% set encodings = [
  {'column': 'review', 'as': 'embedding', 'model': 'minilm_l6_int8'},
  {'column': 'age', 'as': 'cohort', 'bounds': [18, 50, 65]},
  {'column': 'department', 'as': 'one_hot', 'categories': ['bottoms', 'dresses', 'intimate', 'jackets', 'tops', 'trend']},
] %}

{{ config(meta={'encodings': encodings}) }}

with reviews as (

  select * from {{ ref('stg_clothing_reviews') }}

),

embeddings as (

  select
    text_sha256,
    embedding as review_embedding
  from {{ ref('stg_review_embeddings') }}
  where model = {{ sql_text(encodings[0]['model']) }}

),

final as (

  select
    review_id,
    reviewed_at,
    {{ encoded_features(encodings) }}
  from reviews
  inner join embeddings
    on text_sha256 = sha2(coalesce(review, ''), 256)

)

select * from final
