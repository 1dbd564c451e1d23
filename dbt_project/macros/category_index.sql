{#
  Body of a category index: one row per category ever seen, with a permanent integer from 1. A new category gets the
  next integer; integers are never changed or reused. 0 is reserved for "unknown".
  The model must be incremental with `incremental_strategy: append` and `full_refresh: false`.
#}
{% macro category_index(relation, column) -%}
with categories as (

  select distinct {{ column }} from {{ relation }} where {{ column }} is not null

),

unseen as (

  select {{ column }} from categories
  {% if is_incremental() -%}
  where {{ column }} not in (select {{ column }} from {{ this }})
  {%- endif %}

),

final as (

  select
    {{ column }},
    cast(row_number() over (order by {{ column }})
      {%- if is_incremental() %} + (select coalesce(max({{ column }}_index), 0) from {{ this }}) {%- endif %}
      as int) as {{ column }}_index
  from unseen

)

select * from final
{%- endmacro %}
