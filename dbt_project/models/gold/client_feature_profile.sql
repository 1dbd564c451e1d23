{#- The columns of the built table, so that a new feature needs no line here. -#}
{%- set features = [] -%}
{%- if execute -%}
  {%- for column in adapter.get_columns_in_relation(ref('client_features')) if column.name not in ('client_id', 'contacted_at') -%}
    {%- do features.append(column.name) -%}
  {%- endfor -%}
{%- endif -%}

with features as (

  select * from {{ ref('client_features') }}

),

final as (

  {% for feature in features -%}
  select
    {{ sql_text(feature) }} as feature,
    count(*) as row_count,
    count_if({{ sql_name(feature) }} is null) as null_count,
    count(distinct {{ sql_name(feature) }}) as distinct_count,
    cast(min({{ sql_name(feature) }}) as double) as minimum,
    avg({{ sql_name(feature) }}) as mean,
    stddev_samp({{ sql_name(feature) }}) as standard_deviation,
    cast(max({{ sql_name(feature) }}) as double) as maximum
  from features
  {% if not loop.last %}
  union all

  {% endif %}
  {%- endfor %}

)

select * from final
