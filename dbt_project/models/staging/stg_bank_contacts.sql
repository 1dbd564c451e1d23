with rows as (

  select *, locate(lower(month), 'janfebmaraprmayjunjulaugsepoctnovdec') as month_position
  from {{ ref('raw_bank_marketing') }}

),

months as (

  select *, cast((month_position + 2) / 3 as int) as month_number
  from rows

),

year_ends as (

  -- The rows are in date order, so a month earlier than that of the row above starts a new year.
  select
    *,
    case
      when month_number < lag(month_number) over (order by row_number) then 1
      else 0
    end as starts_a_year
  from months

),

years as (

  select
    *,
    2008 + sum(starts_a_year) over (order by row_number rows between unbounded preceding and current row) as year_number
  from year_ends

),

final as (

  select
    row_number as client_id,
    cast(make_date(cast(year_number as int), month_number, cast(day as int)) as timestamp) as contacted_at,
    cast(age as int) as age,
    {{ unknown_to_null('job') }} as job,
    {{ unknown_to_null('marital') }} as marital,
    {{ unknown_to_null('education') }} as education,
    {{ yes_no('`default`') }} as has_default,
    cast(balance as int) as balance,
    {{ yes_no('housing') }} as has_housing_loan,
    {{ yes_no('loan') }} as has_personal_loan,
    {{ unknown_to_null('contact') }} as contact_channel,
    cast(duration as int) as duration_seconds,
    cast(campaign as int) as contacts_this_campaign,
    nullif(cast(pdays as int), -1) as days_since_previous_contact,
    cast(previous as int) as previous_contacts,
    {{ unknown_to_null('poutcome') }} as previous_outcome,
    {{ yes_no('y') }} as subscribed
  from years

)

select * from final
