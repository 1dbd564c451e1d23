{#
  The body of a category index: one row for each category ever seen, with an integer from 1 that is its own for
  good. A new category takes the next integer; none is renumbered or used again. 0 is left for "unknown".
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
