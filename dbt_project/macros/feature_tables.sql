{#
  On Databricks, a gold model whose `meta.feature_catalog` says `is_feature_table` becomes a feature table of Unity
  Catalog: key columns NOT NULL, a primary key with TIMESERIES, tags, comments, and as properties what Unity Catalog
  has no place for. Two hooks in dbt_project.yml do it; on every other target they do nothing.

  Each build asks Unity Catalog what is there and says only what differs, so a second build says nothing of a table
  that kept what it had. A model that is materialized as a table is replaced, and what it lost thereby is said again.
  A tag that the model does not declare any more stays: it may be someone else's. The statements are tested offline;
  no workspace has run them yet.
#}

{# Before the model is built: a table that stands with another key is left alone. #}
{% macro refuse_changed_feature_key() -%}
  {%- if execute and is_unity_feature_table() and adapter.get_relation(this.database, this.schema, this.identifier) -%}
    {%- do require_feature_key(this, feature_key(model), found_feature_key(this)) -%}
  {%- endif -%}
{%- endmacro %}

{# After the model is built. #}
{% macro publish_feature_table() -%}
  {%- if execute and is_unity_feature_table() -%}
    {%- for ddl in feature_table_ddl(this, model, found_feature_table(this)) -%}
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
  The statements that make `table` what `model` declares, where `found` is what it is now:
  {key: {columns, timeseries} or none, columns: {name in lower case: {nullable, comment}}, comment, tags, properties}.
#}
{% macro feature_table_ddl(table, model, found) -%}
  {%- set alter, key, statements = 'ALTER TABLE ' ~ table, feature_key(model), [] -%}
  {%- do require_feature_key(table, key, found.key) -%}
  {%- for column in key.columns -%}
    {%- if column | lower not in found.columns -%}
      {{ exceptions.raise_compiler_error(table ~ " has no column '" ~ column ~ "', which its feature_catalog names as a key."
         ~ " Known: " ~ (found.columns | join(', ')) ~ ".") }}
    {%- elif found.columns[column | lower].nullable -%}
      {%- do statements.append(alter ~ ' ALTER COLUMN ' ~ sql_name(column) ~ ' SET NOT NULL') -%}
    {%- endif -%}
  {%- endfor -%}
  {%- if not found.key -%}
    {%- do statements.append(alter ~ ' ADD CONSTRAINT ' ~ sql_name(table.identifier ~ '_pk')
        ~ ' PRIMARY KEY (' ~ feature_key_text(key) ~ ')') -%}
  {%- endif -%}
  {%- set tags = sql_pairs(feature_tags(model), found.tags) -%}
  {%- if tags -%}{%- do statements.append(alter ~ ' SET TAGS (' ~ tags ~ ')') -%}{%- endif -%}
  {%- set comment = (model.description or '') | trim -%}
  {%- if comment != (found.comment or '') -%}
    {%- do statements.append('COMMENT ON TABLE ' ~ table ~ ' IS ' ~ (sql_text(comment) if comment else 'NULL')) -%}
  {%- endif -%}
  {%- for column in model.columns.values() if column.name | lower in found.columns -%}
    {%- set comment = (column.description or '') | trim -%}
    {%- if comment != (found.columns[column.name | lower].comment or '') -%}
      {%- do statements.append(alter ~ ' ALTER COLUMN ' ~ sql_name(column.name) ~ ' COMMENT ' ~ sql_text(comment)) -%}
    {%- endif -%}
  {%- endfor -%}
  {%- set properties = sql_pairs(feature_properties(model), found.properties) -%}
  {%- if properties -%}{%- do statements.append(alter ~ ' SET TBLPROPERTIES (' ~ properties ~ ')') -%}{%- endif -%}
  {{ return(statements) }}
{%- endmacro %}

{# What a frame needs to know of the table, and Unity Catalog has no place for. #}
{% macro feature_properties(model) -%}
  {%- set meta, freshness = model.config.get('meta', {}), feature_catalog(model).get('freshness') -%}
  {%- set properties = {'feature_table.encodings': tojson(meta.get('encodings', []))} -%}
  {%- if meta.get('known_at_column') -%}
    {%- do properties.update({'feature_table.known_at_column': meta.known_at_column}) -%}
  {%- endif -%}
  {%- if freshness -%}{%- do properties.update({'feature_table.freshness': tojson(freshness)}) -%}{%- endif -%}
  {{ return(properties) }}
{%- endmacro %}

{# A row that became known later has a time of its own, which is part of the key: there may be several of one time. #}
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

{% macro require_feature_key(table, declared, found) -%}
  {%- if found and feature_key_text(found) | lower != feature_key_text(declared) | lower -%}
    {{ exceptions.raise_compiler_error("The key of " ~ table ~ " is (" ~ feature_key_text(found) ~ "), and the model declares ("
       ~ feature_key_text(declared) ~ "). A feature table is looked up by its key, so the key does not change."
       ~ " Give the new key a model of its own; or, if nobody reads the table, drop it and build again: DROP TABLE "
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

{# What Unity Catalog knows of the table. Its information_schema has table names in lower case. #}
{% macro found_feature_table(table) -%}
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
  {{ return({'key': found_feature_key(table), 'columns': columns, 'tags': tags, 'properties': properties,
             'comment': comments[0][0] if comments | length else none}) }}
{%- endmacro %}

{# Which column is the TIMESERIES is said by SHOW CREATE TABLE alone. #}
{% macro found_feature_key(table) -%}
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

{# The pairs of `declared` that `found` lacks or has otherwise, as SQL writes them. #}
{% macro sql_pairs(declared, found) -%}
  {%- set pairs = [] -%}
  {%- for name, value in declared.items() if found.get(name) != value -%}
    {%- do pairs.append(sql_text(name) ~ ' = ' ~ sql_text(value)) -%}
  {%- endfor -%}
  {{ return(pairs | join(', ')) }}
{%- endmacro %}

{% macro sql_name(name) -%}
  {{ return('`' ~ name | replace('`', '``') ~ '`') }}
{%- endmacro %}

{% macro sql_text(value) -%}
  {{ return("'" ~ value | replace('\\', '\\\\') | replace("'", "\\'") ~ "'") }}
{%- endmacro %}
