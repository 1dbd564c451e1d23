{# Encodings of raw columns as features, used in the SQL below and for requests to the endpoint. #}
{% set encodings = [
  {'column': 'level', 'as': 'number', 'type': 'double', 'minimum': 0},
  {'column': 'daily_error', 'as': 'number', 'type': 'double', 'minimum': 0},
  {'column': 'same_hour_1d', 'as': 'number', 'type': 'double'},
  {'column': 'same_hour_2d', 'as': 'number', 'type': 'double'},
  {'column': 'same_hour_1w', 'as': 'number', 'type': 'double'},
  {'column': 'last_hour', 'as': 'number', 'type': 'double'},
  {'column': 'mean_1w', 'as': 'number', 'type': 'double'},
  {'column': 'hours_ahead', 'as': 'number', 'minimum': 0, 'maximum': 23},
  {'column': 'hour_of_day', 'as': 'number', 'minimum': 0, 'maximum': 23},
  {'column': 'weekday', 'as': 'number', 'minimum': 1, 'maximum': 7},
] %}

{{ config(meta={'encodings': encodings}) }}

with {{ filled_hours() }}

compared as (

  select
    *,
    lag(centilitres, {{ season_hours() }}) over (partition by pipe order by hour_number) as day_before
  from filled

),

-- The last hour before an origin, with sums over the hours up to it. Sums of integers are exact.
known as (

  select
    pipe,
    hour_number + 1 as origin,
    centilitres,
    sum(centilitres) over last_day / 2400 as level,
    greatest(sum(abs(centilitres - day_before)) over last_week / 16800, cast(0.01 as double)) as daily_error,
    sum(centilitres) over last_week / 16800 as mean_1w,
    count(day_before) over last_week as compared_hours,
    sum(case when is_measured then 1 else 0 end) over last_week as measured_hours
  from compared
  window
    last_day as (partition by pipe order by hour_number rows between 23 preceding and current row),
    last_week as (partition by pipe order by hour_number rows between 167 preceding and current row)

),

-- Each sixth hour, if the week before has 24 x 7 hours to compare, and three quarters of them were measured.
origins as (

  select * from known
  where origin % 6 = 0 and compared_hours = 168 and measured_hours >= 126

),

steps as (

  select explode(sequence(0, {{ season_hours() }} - 1)) as hours_ahead

),

targets as (

  select origins.*, steps.hours_ahead, origins.origin + steps.hours_ahead as hour_number
  from origins
  cross join steps

),

raw as (

  select
    targets.pipe,
    {{ hour_as_text('targets.hour_number') }} as hour,
    cast(timestamp_seconds(targets.origin * 3600) as timestamp) as as_of,
    targets.level,
    targets.daily_error,
    (day_1.centilitres / 100 - targets.level) / targets.daily_error as same_hour_1d,
    (day_2.centilitres / 100 - targets.level) / targets.daily_error as same_hour_2d,
    (day_7.centilitres / 100 - targets.level) / targets.daily_error as same_hour_1w,
    (targets.centilitres / 100 - targets.level) / targets.daily_error as last_hour,
    (targets.mean_1w - targets.level) / targets.daily_error as mean_1w,
    targets.hours_ahead,
    cast(hour(from_utc_timestamp(timestamp_seconds(targets.hour_number * 3600), 'Europe/Rome')) as int) as hour_of_day,
    cast(weekday(from_utc_timestamp(timestamp_seconds(targets.hour_number * 3600), 'Europe/Rome')) + 1 as int) as weekday
  from targets
  inner join filled as day_1
    on targets.pipe = day_1.pipe and targets.hour_number - 24 = day_1.hour_number
  inner join filled as day_2
    on targets.pipe = day_2.pipe and targets.hour_number - 48 = day_2.hour_number
  inner join filled as day_7
    on targets.pipe = day_7.pipe and targets.hour_number - 168 = day_7.hour_number

),

final as (

  select
    pipe,
    hour,
    as_of,
    {{ encoded_features(encodings) }}
  from raw

)

select * from final
