{#
  On Databricks, a gold model with `is_feature_table` in its `meta.feature_catalog` becomes a feature table of Unity
  Catalog. It gets NOT NULL key columns, a primary key with TIMESERIES, tags and comments. Metadata without a place in
  Unity Catalog becomes table properties. Two hooks in dbt_project.yml do this; on every other target they do nothing.

  Each build reads the current state from Unity Catalog and changes only what differs, so a second build sends no
  statement for an unchanged table. A build replaces a model materialized as a table, and then restores what the
  replacement dropped. A tag that the model no longer declares stays, because someone else may have set it. No
  workspace has run them yet; tests/dbt/test_sql_warehouse.py runs them on a stand-in.
#}

{# Before the build: refuses to replace a table that has another key. #}
{% macro refuse_changed_feature_key() -%}
  {%- if execute and is_unity_feature_table() and adapter.get_relation(this.database, this.schema, this.identifier) -%}
    {%- do require_feature_key(this, feature_key(model), current_feature_key(this)) -%}
  {%- endif -%}
{%- endmacro %}

{# After the build: brings key, tags, comments and properties up to date. #}
{% macro publish_feature_table() -%}
  {%- if execute and is_unity_feature_table() -%}
    {%- for ddl in feature_table_ddl(this, model, current_feature_table(this)) -%}
      {%- call statement('publish_feature_table') -%}{{ ddl }}{%- endcall -%}
    {%- endfor -%}
  {%- endif -%}
{%- endmacro %}

{% macro is_unity_feature_table() -%}
  {{ return(target.type == 'databricks' and feature_catalog(model).get('is_feature_table', false)) }}
{%- endmacro %}

{% macro feature_catalog(model) -%}
  {{ return(model.config.get('meta', {}).get('feature_catalog') or {}) }}
{%- endmacro %}

{#
  Statements that bring `table` in line with the declaration in `model`. `current` is the state of the table:
  {key: {columns, timeseries} or none, columns: {name in lower case: {nullable, comment}}, comment, tags, properties}.
#}
{% macro feature_table_ddl(table, model, current) -%}
  {%- set alter, key, statements = 'ALTER TABLE ' ~ table, feature_key(model), [] -%}
  {%- do require_feature_key(table, key, current.key) -%}
  {%- for column in key.columns -%}
    {%- if column | lower not in current.columns -%}
      {{ exceptions.raise_compiler_error(table ~ " has no column '" ~ column ~ "', which its feature_catalog declares as a key."
         ~ " Known: " ~ (current.columns | join(', ')) ~ ".") }}
    {%- elif current.columns[column | lower].nullable -%}
      {%- do statements.append(alter ~ ' ALTER COLUMN ' ~ sql_name(column) ~ ' SET NOT NULL') -%}
    {%- endif -%}
  {%- endfor -%}
  {%- if not current.key -%}
    {%- do statements.append(alter ~ ' ADD CONSTRAINT ' ~ sql_name(table.identifier ~ '_pk')
        ~ ' PRIMARY KEY (' ~ feature_key_text(key) ~ ')') -%}
  {%- endif -%}
  {%- set tags = sql_pairs(feature_tags(model), current.tags) -%}
  {%- if tags -%}{%- do statements.append(alter ~ ' SET TAGS (' ~ tags ~ ')') -%}{%- endif -%}
  {%- set comment = (model.description or '') | trim -%}
  {%- if comment != (current.comment or '') -%}
    {%- do statements.append('COMMENT ON TABLE ' ~ table ~ ' IS ' ~ (sql_text(comment) if comment else 'NULL')) -%}
  {%- endif -%}
  {%- for column in model.columns.values() if column.name | lower in current.columns -%}
    {%- set comment = (column.description or '') | trim -%}
    {%- if comment != (current.columns[column.name | lower].comment or '') -%}
      {%- do statements.append(alter ~ ' ALTER COLUMN ' ~ sql_name(column.name) ~ ' COMMENT ' ~ sql_text(comment)) -%}
    {%- endif -%}
  {%- endfor -%}
  {%- set properties = sql_pairs(feature_properties(model), current.properties) -%}
  {%- if properties -%}{%- do statements.append(alter ~ ' SET TBLPROPERTIES (' ~ properties ~ ')') -%}{%- endif -%}
  {{ return(statements) }}
{%- endmacro %}

{#
  Metadata for the training frame that has no place of its own in Unity Catalog. Change data feed is what an online table
  reads: `publish` in the mode TRIGGERED needs it.
#}
{% macro feature_properties(model) -%}
  {%- set meta, freshness = model.config.get('meta', {}), feature_catalog(model).get('freshness') -%}
  {%- set properties = {
      'delta.enableChangeDataFeed': 'true',
      'feature_table.encodings': tojson(meta.get('encodings', [])),
    } -%}
  {%- if meta.get('known_at_column') -%}
    {%- do properties.update({'feature_table.known_at_column': meta.known_at_column}) -%}
  {%- endif -%}
  {%- if freshness -%}{%- do properties.update({'feature_table.freshness': tojson(freshness)}) -%}{%- endif -%}
  {{ return(properties) }}
{%- endmacro %}

{# `known_at_column` is part of the key: rows of one timestamp may become known at different times. #}
{% macro feature_key(model) -%}
  {%- set catalog = feature_catalog(model) -%}
  {%- set entity = [catalog.entity] if catalog.entity is string else (catalog.entity or []) | list -%}
  {%- set time, known_at = catalog.get('timestamp_column'), model.config.get('meta', {}).get('known_at_column') -%}
  {{ return({'columns': entity + ([known_at] if known_at else []) + ([time] if time else []), 'timeseries': time}) }}
{%- endmacro %}

{% macro feature_key_text(key) -%}
  {%- set columns = [] -%}
  {%- for column in key.columns -%}
    {%- do columns.append(sql_name(column) ~ (' TIMESERIES' if column == key.timeseries else '')) -%}
  {%- endfor -%}
  {{ return(columns | join(', ')) }}
{%- endmacro %}

{% macro require_feature_key(table, declared, current) -%}
  {%- if current and feature_key_text(current) | lower != feature_key_text(declared) | lower -%}
    {{ exceptions.raise_compiler_error("The key of " ~ table ~ " is (" ~ feature_key_text(current) ~ "), but the model declares ("
       ~ feature_key_text(declared) ~ "). The key of a feature table cannot change, because lookups use it."
       ~ " Create a new model for the new key. If nobody reads the table, drop it and build again: DROP TABLE "
       ~ table) }}
  {%- endif -%}
{%- endmacro %}

{% macro feature_tags(model) -%}
  {%- set tags, catalog = {}, feature_catalog(model) -%}
  {%- for name in ['owner', 'lifecycle', 'time_grain', 'freshness'] if catalog.get(name) is not none -%}
    {%- do tags.update({name: catalog[name] if catalog[name] is string else tojson(catalog[name])}) -%}
  {%- endfor -%}
  {{ return(tags) }}
{%- endmacro %}

{# Current state of the table in Unity Catalog. The information_schema has table names in lower case. #}
{% macro current_feature_table(table) -%}
  {%- set columns, tags, properties = {}, {}, {} -%}
  {%- for row in run_query(unity_query(table, 'columns', 'column_name, is_nullable, comment')).rows -%}
    {%- do columns.update({row[0] | lower: {'nullable': row[1] == 'YES', 'comment': row[2]}}) -%}
  {%- endfor -%}
  {%- for row in run_query(unity_query(table, 'table_tags', 'tag_name, tag_value', 'schema_name')).rows -%}
    {%- do tags.update({row[0]: row[1]}) -%}
  {%- endfor -%}
  {%- for row in run_query('SHOW TBLPROPERTIES ' ~ table).rows -%}
    {%- do properties.update({row[0]: row[1]}) -%}
  {%- endfor -%}
  {%- set comments = run_query(unity_query(table, 'tables', 'comment')).rows -%}
  {{ return({'key': current_feature_key(table), 'columns': columns, 'tags': tags, 'properties': properties,
             'comment': comments[0][0] if comments | length else none}) }}
{%- endmacro %}

{# Current key of the table. Only SHOW CREATE TABLE reports the TIMESERIES column. #}
{% macro current_feature_key(table) -%}
  {%- set columns, time = [], namespace(column=none) -%}
  {%- set primary = "constraint_name in (" ~ unity_query(table, 'table_constraints', 'constraint_name')
      ~ " AND constraint_type = 'PRIMARY KEY')" -%}
  {%- for row in run_query(unity_query(table, 'key_column_usage', 'column_name') ~ ' AND ' ~ primary
                           ~ ' ORDER BY ordinal_position').rows -%}
    {%- do columns.append(row[0]) -%}
  {%- endfor -%}
  {%- if not columns -%}{{ return(none) }}{%- endif -%}
  {%- set created = run_query('SHOW CREATE TABLE ' ~ table).rows[0][0] -%}
  {%- for column in columns -%}
    {%- set name = modules.re.escape(column | replace('`', '``')) -%}
    {%- if modules.re.search('PRIMARY KEY[^\n]*[(, ]`?' ~ name ~ '`? TIMESERIES', created) -%}
      {%- set time.column = column -%}
    {%- endif -%}
  {%- endfor -%}
  {{ return({'columns': columns, 'timeseries': time.column}) }}
{%- endmacro %}

{% macro unity_query(table, view, columns, schema_column='table_schema') -%}
  {{ return('SELECT ' ~ columns ~ ' FROM ' ~ sql_name(table.database | lower) ~ '.information_schema.' ~ view
            ~ ' WHERE ' ~ schema_column ~ ' = ' ~ sql_text(table.schema | lower)
            ~ ' AND table_name = ' ~ sql_text(table.identifier | lower)) }}
{%- endmacro %}

{# SQL text of the pairs in `declared` that are missing from `current` or differ there. #}
{% macro sql_pairs(declared, current) -%}
  {%- set pairs = [] -%}
  {%- for name, value in declared.items() if current.get(name) != value -%}
    {%- do pairs.append(sql_text(name) ~ ' = ' ~ sql_text(value)) -%}
  {%- endfor -%}
  {{ return(pairs | join(', ')) }}
{%- endmacro %}
