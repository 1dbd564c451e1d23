{#
  Body of an incremental model that loads deliveries of Parquet files, each once. Its `meta.landing_files` declares the
  folder, the type of each column, `together` and `before`; see lakehouse/landing/deliveries.py. The arguments are the
  tables that the run loads before this one, by the name of their folder: `customers=ref('raw_customers')`.
#}
{% macro landing_files() -%}
  {%- if execute -%}
    {{ return(adapter.dispatch('landing_files')(model.config.meta.landing_files, kwargs)) }}
  {%- endif -%}
{%- endmacro %}

{# Checks each new file completely before it loads any. #}
{% macro embedded__landing_files(files, loaded_first) -%}
  select * from {{ adapter.deliveries_view(model.name, files, this if is_incremental() else none, loaded_first) }}
{%- endmacro %}

{#
  Reads a folder of a volume. The query fails if a column is missing or has another type, or if a new row is out of
  order. Unlike the embedded engine, it does not notice a column that is not declared, a loaded file that has changed, or
  a delivery that a folder of `together` lacks completely.
#}
{% macro databricks__landing_files(files, loaded_first) -%}
  {%- set columns = [] -%}
  {%- for column in files.columns -%}{%- do columns.append(sql_name(column)) -%}{%- endfor -%}
  with landed as (

    select {{ columns | join(', ') }}, {{ delivery_of_file() }} as delivery
    from {{ parquet_files(files.path) }}

  ),

  {% for folder, loaded in loaded_first.items() -%}
  {#- A delivery waits until this run has loaded its rows of the folders before. -#}
  waiting_for_{{ folder }} as (

    select distinct {{ delivery_of_file() }} as delivery
    from {{ parquet_files(files.path | replace(files.path.split('/')[-1], '') ~ folder) }}
    where {{ delivery_of_file() }} not in (select delivery from {{ loaded }} where delivery is not null)

  ),

  {% endfor -%}
  loaded as (

    {{ loaded_deliveries(files.before or []) | indent(4) }}

  ),

  final as (

    select landed.*
    from landed
    cross join (select max(known_at) as known_until from loaded) as earlier
    where landed.delivery not in (select delivery from loaded where own)
      {%- for folder in loaded_first %}
      and landed.delivery not in (select delivery from waiting_for_{{ folder }})
      {%- endfor %}
      and case
        {%- for column, type in files.columns.items() %}
        when typeof(landed.{{ sql_name(column) }}) != {{ sql_text(type) }}
          then cast(raise_error(concat({{ sql_text(column ~ ' is not ' ~ type ~ ' but ') }}, typeof(landed.{{ sql_name(column) }}))) as boolean)
        {%- endfor %}
        when landed.known_at is null
          then cast(raise_error(concat('a row without known_at in delivery ', landed.delivery)) as boolean)
        when landed.known_at > current_timestamp()
          then cast(raise_error(concat('a row from the future in delivery ', landed.delivery)) as boolean)
        when landed.known_at <= earlier.known_until
          then cast(raise_error(concat('a row that is not later than the loaded ones in delivery ', landed.delivery)) as boolean)
        else true
      end

  )

  select * from final
{%- endmacro %}

{% macro parquet_files(folder) -%}
  read_files({{ sql_text(folder) }}, format => 'parquet', pathGlobFilter => '*.parquet')
{%- endmacro %}

{# Name of the file, without a final dash and five digits: several files may make a delivery. #}
{% macro delivery_of_file() -%}
  regexp_replace(_metadata.file_name, '(-[0-9]{5})?[.]parquet$', '')
{%- endmacro %}

{# Rows of this model and of the models named, as far as they exist: new rows must be known after all of them. #}
{% macro loaded_deliveries(others) -%}
  {%- set tables = [] -%}
  {%- if is_incremental() -%}
    {%- do tables.append([this, 'true']) -%}
    {%- for other in others if adapter.get_relation(this.database, this.schema, other) -%}
      {%- do tables.append([this.incorporate(path={'identifier': other}), 'false']) -%}
    {%- endfor -%}
  {%- endif -%}
  {%- for table, own in tables -%}
  select delivery, max(known_at) as known_at, {{ own }} as own from {{ table }} group by delivery
  union all
  {% endfor -%}
  select '' as delivery, cast(null as timestamp) as known_at, true as own
{%- endmacro %}
