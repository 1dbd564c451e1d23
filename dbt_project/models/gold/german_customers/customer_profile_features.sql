{# Encodings of raw columns as features, used in the SQL below and for requests to the endpoint. #}
{% set encodings = [
  {'column': 'age', 'as': 'number', 'minimum': 14, 'maximum': 120, 'impute': 45},
  {'column': 'age', 'as': 'cohort', 'bounds': var('age_cohort_bounds')},
  {'column': 'state', 'as': 'one_hot', 'categories': german_states().values() | list},
  {'column': 'kommune', 'as': 'category_index', 'index': 'gold.kommune_index'},
  {'column': 'channel', 'as': 'one_hot', 'categories': ['app', 'partner', 'store', 'web']},
] %}

{{ config(materialized='incremental', incremental_strategy='append', meta={'encodings': encodings}) }}

with records as (

  select * from {{ ref('stg_customers') }}

),

delivered as (

  select max(known_at) as known_until from records

),

kommunen as (

  select * from {{ ref('kommune_index') }}

),

written as (

  -- Latest time that earlier runs have written.
  select {{ latest('as_of') }} as written_until

),

-- Only customers with several records are sorted: sorting all took most of a run with few new records.
repeated_customers as (

  select customer_id from records group by customer_id having count(*) > 1

),

successions as (

  select *, lead(known_at) over (partition by customer_id order by known_at) as next_known_at
  from records
  where customer_id in (select customer_id from repeated_customers)

  union all

  select *, cast(null as timestamp) as next_known_at
  from records
  where customer_id not in (select customer_id from repeated_customers)

),

versions as (

  select successions.*, written.written_until, delivered.known_until
  from successions
  cross join delivered
  cross join written

),

moments as (

  -- The record itself, where the year is NULL, and each year in which it may have a birthday.
  select
    *,
    explode(concat(array(cast(null as int)), sequence(
      year(greatest(known_at, written_until)), year(coalesce(next_known_at, known_until))
    ))) as birthday_year
  from versions
  where coalesce(next_known_at, known_until) > written_until

),

dated as (

  select
    *,
    case
      when birthday_year is null then known_at
      else cast({{ birthday('birth_date', 'birthday_year') }} as timestamp)
    end as as_of
  from moments

),

changes as (

  select customer_id, as_of, birth_date, state, kommune, channel
  from dated
  -- Earlier runs have written up to `written_until` inclusive, so this run writes up to `known_until` inclusive.
  where as_of > written_until
    and as_of <= known_until
    and (
      birthday_year is null
      or (as_of > known_at and (next_known_at is null or as_of < next_known_at))
    )

),

aged as (

  select *, {{ years_between('birth_date', 'as_of') }} as age from changes

),

indexed as (

  select aged.*, kommunen.kommune_index
  from aged
  left join kommunen on aged.kommune = kommunen.kommune

),

final as (

  select
    customer_id,
    as_of,
    {{ encoded_features(encodings) }}
  from indexed

)

select * from final
