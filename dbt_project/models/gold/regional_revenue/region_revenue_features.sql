{# Encodings of raw columns as features, used in the SQL below and for requests to the endpoint. #}
{% set encodings = [
  {'column': 'level', 'as': 'number', 'type': 'double', 'minimum': 0},
  {'column': 'seasonal_error', 'as': 'number', 'type': 'double', 'minimum': 0},
  {'column': 'same_weekday_1w', 'as': 'number', 'type': 'double'},
  {'column': 'same_weekday_2w', 'as': 'number', 'type': 'double'},
  {'column': 'same_weekday_mean', 'as': 'number', 'type': 'double'},
  {'column': 'mean_7d', 'as': 'number', 'type': 'double'},
  {'column': 'mean_56d', 'as': 'number', 'type': 'double'},
  {'column': 'days_ahead', 'as': 'number', 'minimum': 0, 'maximum': 13},
  {'column': 'weekday', 'as': 'number', 'minimum': 1, 'maximum': 7},
  {'column': 'holiday_share', 'as': 'number', 'type': 'double', 'minimum': 0, 'maximum': 1},
  {'column': 'holiday_share_next_day', 'as': 'number', 'type': 'double', 'minimum': 0, 'maximum': 1},
] %}

{{ config(meta={'encodings': encodings}) }}

with {{ region_histories() }}

compared as (

  select *, lead(cents, 7) over (partition by region, origin order by days_ago) as week_before
  from history

),

levels as (

  select
    region,
    origin,
    sum(case when days_ago <= 28 then cents else 0 end) / 2800 as level,
    greatest(sum(case when days_ago <= 28 then abs(cents - week_before) else 0 end) / 2800, 1) as seasonal_error,
    sum(case when days_ago <= 7 then cents else 0 end) / 700 as mean_7d,
    sum(cents) / (700 * {{ history_weeks() }}) as mean_56d
  from compared
  group by region, origin

),

-- Days ahead modulo 7 that fall on the weekday of a day of the history.
weekdays as (

  select
    region,
    origin,
    6 - (days_ago - 1) % 7 as days_ahead_of_week,
    max(case when days_ago <= 7 then cents end) / 100 as same_weekday_1w,
    max(case when days_ago between 8 and 14 then cents end) / 100 as same_weekday_2w,
    sum(cents) / (100 * {{ history_weeks() }}) as same_weekday_mean
  from history
  group by 1, 2, 3

),

{{ steps() }},

targets as (

  select
    dated_origins.region,
    dated_origins.origin,
    steps.days_ahead,
    date_add(dated_origins.origin, steps.days_ahead) as day
  from dated_origins
  cross join steps

),

populations as (

  select state, sum(population) as population from {{ ref('stg_kommunen') }} where state is not null group by state

),

-- Share of the people of each region who have a holiday: 0 or 1 in a state.
regions_of_states as (

  select state as region, state, population from populations
  union all
  select {{ sql_text(germany()) }} as region, state, population from populations

),

populations_of_regions as (

  select region, sum(population) as population from regions_of_states group by region

),

holidays as (

  select
    regions_of_states.region,
    holidays.day,
    cast(sum(regions_of_states.population) / max(populations_of_regions.population) as double) as share
  from {{ ref('stg_german_holidays') }} as holidays
  inner join regions_of_states on holidays.state = regions_of_states.state
  inner join populations_of_regions on regions_of_states.region = populations_of_regions.region
  group by 1, 2

),

raw as (

  select
    targets.region,
    date_format(targets.day, 'yyyy-MM-dd') as day,
    cast(targets.origin as timestamp) as as_of,
    levels.level,
    levels.seasonal_error,
    (weekdays.same_weekday_1w - levels.level) / levels.seasonal_error as same_weekday_1w,
    (weekdays.same_weekday_2w - levels.level) / levels.seasonal_error as same_weekday_2w,
    (weekdays.same_weekday_mean - levels.level) / levels.seasonal_error as same_weekday_mean,
    (levels.mean_7d - levels.level) / levels.seasonal_error as mean_7d,
    (levels.mean_56d - levels.level) / levels.seasonal_error as mean_56d,
    targets.days_ahead,
    cast(targets.days_ahead % 7 + 1 as int) as weekday,
    coalesce(holidays.share, 0) as holiday_share,
    coalesce(next_day.share, 0) as holiday_share_next_day
  from targets
  inner join levels on targets.region = levels.region and targets.origin = levels.origin
  inner join weekdays
    on
      targets.region = weekdays.region
      and targets.origin = weekdays.origin
      and targets.days_ahead % 7 = weekdays.days_ahead_of_week
  left join holidays on targets.region = holidays.region and targets.day = holidays.day
  left join holidays as next_day
    on targets.region = next_day.region and date_add(targets.day, 1) = next_day.day

),

final as (

  select
    region,
    day,
    as_of,
    {{ encoded_features(encodings) }}
  from raw

)

select * from final
