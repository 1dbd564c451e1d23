{# Name of the country as a region: the sum of its states. #}
{% macro germany() -%} Deutschland {%- endmacro %}

{# Days of the horizon of a forecast, the first of which is the day of the origin. #}
{% macro horizon_days() -%} 14 {%- endmacro %}

{# Weeks before the origin that a forecast looks at. #}
{% macro history_weeks() -%} 8 {%- endmacro %}

{# Days before the origin whose revenue is a feature each, which networks read in order. #}
{% macro recent_days() -%} {{ return(28) }} {%- endmacro %}

{# CTE `steps`: the days of the horizon, from 0. #}
{% macro steps() -%}
steps as (

  select explode(sequence(0, {{ horizon_days() }} - 1)) as days_ahead

)
{%- endmacro %}

{# CTEs `dated_origins` (region, origin) and `history`: the revenue of each day before an origin as known at the origin. #}
{% macro region_histories() -%}
orders as (

  select
    *,
    -- The first Monday, 00:00 UTC, after the day of the order.
    date_add(cast(date_trunc('week', day) as date), 7) as next_origin
  from {{ ref('region_orders') }}

),

-- Origins after the last order would see days without data as days without revenue.
delivered as (

  select max(day) as last_day from orders

),

-- A region has a forecast when its first order is as long ago as the history.
regions as (

  select region, min(next_origin) as first_origin from orders group by region

),

origins as (

  select
    region,
    explode(sequence(
      0, cast(floor((datediff(delivered.last_day, first_origin) + 1) / 7) as int)
    )) as weeks,
    first_origin
  from regions
  cross join delivered

),

dated_origins as (

  select region, date_add(first_origin, 7 * weeks) as origin
  from origins
  where weeks >= {{ history_weeks() }}

),

-- Each order in every history that it belongs to, if it was known at the origin.
in_history as (

  select region, day, known_at, amount_cents, next_origin, explode(sequence(0, {{ history_weeks() }} - 1)) as weeks
  from orders

),

known as (

  select
    region,
    date_add(next_origin, 7 * weeks) as origin,
    datediff(date_add(next_origin, 7 * weeks), day) as days_ago,
    sum(amount_cents) as cents
  from in_history
  where known_at < cast(date_add(next_origin, 7 * weeks) as timestamp)
  group by 1, 2, 3

),

days as (

  select region, origin, explode(sequence(1, 7 * {{ history_weeks() }})) as days_ago
  from dated_origins

),

-- A day without orders has the revenue 0. Sums of cents are exact, whatever the order of the rows.
history as (

  select
    days.region,
    days.origin,
    days.days_ago,
    cast(coalesce(known.cents, 0) as bigint) as cents
  from days
  left join known
    on days.region = known.region and days.origin = known.origin and days.days_ago = known.days_ago

),
{%- endmacro %}

{# Hours of a season of an hourly series, and of its horizon. #}
{% macro season_hours() -%} 24 {%- endmacro %}

{# Hours before the origin whose flow is a feature each, which networks read in order. #}
{% macro recent_hours() -%} {{ return(48) }} {%- endmacro %}

{# CTEs up to `filled`: the flow in each hour between the first and the last measurement of a pipe. #}
{% macro filled_hours() -%}
measured as (

  select pipe, hour_number, centilitres from {{ ref('stg_water_flow') }}

),

hours as (

  select pipe, explode(sequence(min(hour_number), max(hour_number))) as hour_number
  from measured
  group by pipe

),

-- An hour without a measurement has the last one before it.
filled as (

  select
    hours.pipe,
    hours.hour_number,
    measured.centilitres is not null as is_measured,
    last_value(measured.centilitres) ignore nulls over (
      partition by hours.pipe order by hours.hour_number rows between unbounded preceding and current row
    ) as centilitres
  from hours
  left join measured on hours.pipe = measured.pipe and hours.hour_number = measured.hour_number

),
{%- endmacro %}

{# Start of an hour since 1970 as text in UTC, such as 2022-05-16T20:00Z. #}
{% macro hour_as_text(hour_number) -%}
  date_format(timestamp_seconds({{ hour_number }} * 3600), "yyyy-MM-dd'T'HH:mm'Z'")
{%- endmacro %}
