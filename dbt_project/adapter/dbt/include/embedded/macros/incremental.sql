{#
  The strategies of dbt-databricks that take one commit, with the same default (merge), so that a model behaves alike
  on both. `delete+insert` takes two commits, and a reader between them would miss rows.
#}
{% materialization incremental, adapter='embedded', supported_languages=['sql', 'python'] -%}
  {%- set existing_relation = load_cached_relation(this) -%}
  {%- set target_relation = this.incorporate(type='table') -%}
  {%- set language = model['language'] -%}
  {%- set on_schema_change = incremental_validate_on_schema_change(config.get('on_schema_change'), default='ignore') -%}
  {%- set strategy_sql = adapter.get_incremental_strategy_macro(context, config.get('incremental_strategy') or 'merge') -%}

  {{ run_hooks(pre_hooks) }}
  {%- if existing_relation is none or existing_relation.is_view or should_full_refresh() -%}
    {% if existing_relation is not none and existing_relation.is_view %}
      {% do adapter.drop_relation(existing_relation) %}
    {% endif %}
    {%- call statement('main', language=language) -%}
      {{ create_table_as(False, target_relation, compiled_code, language) }}
    {%- endcall -%}
  {%- else -%}
    {%- set new_rows = make_temp_relation(target_relation) -%}
    {%- call statement('create_new_rows', language=language) -%}
      {{ create_table_as(True, new_rows, compiled_code, language) }}
    {%- endcall -%}
    {%- do adapter.require_publishable(target_relation, new_rows, model) -%}
    {%- set dest_columns = process_schema_changes(on_schema_change, new_rows, existing_relation)
          or adapter.get_columns_in_relation(existing_relation) -%}
    {#- Readers rely on the declared columns, and `on_schema_change` may have left the table without a new one. -#}
    {%- do adapter.require_publishable(target_relation, target_relation, model) -%}
    {#- The strategy writes to a copy, whose changes are checked and then published in one commit. -#}
    {%- set changed = adapter.start_change(target_relation) -%}
    {%- call statement('main') -%}
      {{ strategy_sql({
        'target_relation': changed, 'temp_relation': new_rows, 'unique_key': config.get('unique_key'),
        'dest_columns': dest_columns,
        'incremental_predicates': config.get('predicates') or config.get('incremental_predicates'),
      }) }}
    {%- endcall -%}
    {%- set replaces_partitions = config.get('incremental_strategy') == 'insert_overwrite' and config.get('partition_by') -%}
    {% do adapter.finish_change(target_relation, model, replaces_partitions is not none and replaces_partitions != false) %}
    {% do adapter.drop_temporary_view(new_rows) %}
    {% do adapter.publish(target_relation, model) %}
  {%- endif -%}
  {% do persist_docs(target_relation, model) %}
  {{ run_hooks(post_hooks) }}

  {{ return({'relations': [target_relation]}) }}
{%- endmaterialization %}

{# Temporary views have no schema, so the name contains it: two schemas may have models of the same name. #}
{% macro embedded__make_temp_relation(base_relation, suffix) %}
  {% set name = base_relation.schema ~ '__' ~ base_relation.identifier ~ suffix %}
  {{ return(base_relation.incorporate(path={'identifier': name}).include(database=false, schema=false)) }}
{% endmacro %}

{% macro embedded__get_incremental_append_sql(arguments) -%}
  insert into {{ arguments.target_relation }} {{ _all_columns(arguments) }}
{%- endmacro %}

{% macro embedded__get_incremental_merge_sql(arguments) -%}
  {%- set keys = arguments.unique_key or [] -%}
  {%- set matches = (arguments.incremental_predicates or []) | list -%}
  {%- for key in ([keys] if keys is string else keys) -%}
    {%- do matches.append('DBT_INTERNAL_SOURCE.' ~ key ~ ' = DBT_INTERNAL_DEST.' ~ key) -%}
  {%- endfor -%}
  {%- set columns = arguments.dest_columns | map(attribute='quoted') | list -%}
  {%- set updated = get_merge_update_columns(
        config.get('merge_update_columns'), config.get('merge_exclude_columns'), arguments.dest_columns) or columns -%}
  merge into {{ arguments.target_relation }} as DBT_INTERNAL_DEST
  using {{ arguments.temp_relation }} as DBT_INTERNAL_SOURCE
  on {{ ('(' ~ matches | join(') and (') ~ ')') if keys else 'false' }}
  {%- if keys %}
  when matched then update set
    {%- for column in updated %} {{ column }} = DBT_INTERNAL_SOURCE.{{ column }}{{ ',' if not loop.last }}{% endfor %}
  {%- endif %}
  when not matched then insert ({{ columns | join(', ') }})
    values ({% for column in columns %}DBT_INTERNAL_SOURCE.{{ column }}{{ ', ' if not loop.last }}{% endfor %})
{%- endmacro %}

{# Overwrites the partitions of the new rows (`finish_change` removes their earlier files), or the complete table. #}
{% macro embedded__get_incremental_insert_overwrite_sql(arguments) -%}
  insert {{ 'into' if config.get('partition_by') else 'overwrite table' }} {{ arguments.target_relation }}
  {{ _all_columns(arguments) }}
{%- endmacro %}

{# Rows outside of the batch are left to their own batch: an input without `event_time` is not filtered by dbt. #}
{% macro embedded__get_incremental_microbatch_sql(arguments) -%}
  {%- set time = adapter.quote(config.get('event_time')) -%}
  {%- set batch -%}
    {{ time }} >= cast('{{ model.batch.event_time_start }}' as timestamp)
    and {{ time }} < cast('{{ model.batch.event_time_end }}' as timestamp)
  {%- endset -%}
  insert into {{ arguments.target_relation }}
  replace where {{ batch }}
  {{ _all_columns(arguments) }}
  where {{ batch }}
{%- endmacro %}

{# Columns in the order of the table, with NULL for those that the new rows lack. #}
{% macro _all_columns(arguments) -%}
  {%- set available = arguments.dest_columns | map(attribute='name') | list -%}
  select
  {%- for column in adapter.get_columns_in_relation(arguments.target_relation) %}
    {{ column.quoted if column.name in available else 'null as ' ~ column.quoted }}{{ ',' if not loop.last }}
  {%- endfor %}
  from {{ arguments.temp_relation }}
{%- endmacro %}

{% macro embedded__alter_relation_add_remove_columns(relation, add_columns, remove_columns) -%}
  {%- if remove_columns -%}
    {{ exceptions.raise_compiler_error('Delta Lake does not support dropping columns from tables') }}
  {%- endif -%}
  {%- do adapter.add_columns(relation, add_columns or []) -%}
{%- endmacro %}
