with {{ region_histories() }}

final as (

  select
    region,
    origin,
    transform(
      array_sort(collect_list(struct(-days_ago as day, cents))), each -> cast(each.cents / 100 as double)
    ) as history
  from history
  group by region, origin

)

select * from final
