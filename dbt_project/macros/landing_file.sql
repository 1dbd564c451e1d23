{#
  Body of a model that reads a delimited landing file. Its `meta.landing_file` declares path, columns and delimiter, and
  where needed other options; docs/bring_your_own_data.md lists them. The ending of the path marks gzip and zip. Every
  field is text, and `row_number` counts from 1 in file order.
#}
{% macro landing_file() -%}
  {%- if execute -%}
    {{ return(adapter.dispatch('landing_file')(model.config.meta.landing_file)) }}
  {%- endif -%}
{%- endmacro %}

{# Reads the complete file or refuses it with the number of the faulty line; see lakehouse/landing/landing_file.py. #}
{% macro embedded__landing_file(file) -%}
  select * from {{ adapter.landing_view(model.name, file) }}
{%- endmacro %}

{#
  Reads a path below a volume, which LAKEHOUSE_LANDING names. No workspace has run it yet. It refuses a value that is
  not in the declared format, and does not look for undeclared formats.
#}
{% macro databricks__landing_file(file) -%}
  {%- if file.path.endswith('.zip') -%}
    {{ exceptions.raise_compiler_error("Databricks reads no .zip archive. Deliver " ~ file.path ~ " as .gz.") }}
  {%- elif file.skip_last_lines -%}
    {{ exceptions.raise_compiler_error("Databricks skips no last lines. Deliver " ~ file.path ~ " without them.") }}
  {%- endif -%}
  {%- set encoding = file.encoding or 'UTF-8' -%}
  {%- set fields = [] -%}
  {%- for column in file.columns -%}{%- do fields.append(sql_name(column) ~ ' string') -%}{%- endfor -%}
  select
    {%- for column in file.columns %}
    {% if column in (file.numbers or []) -%}
      {{ landed_number(column, file.decimal or '.', file.thousands) }} as {{ sql_name(column) }}
    {%- elif column in (file.dates or []) -%}
      {{ landed_date(column, file.dates[column] if file.dates is mapping else file.date_format) }} as {{ sql_name(column) }}
    {%- else -%}
      {{ sql_name(column) }}
    {%- endif %},
    {%- endfor %}
    -- Databricks counts in int, the embedded engine in bigint.
    cast(row_number() over (order by monotonically_increasing_id()) as bigint) as row_number
  from {% if file.missing -%}
  (
    select
      {%- for column in file.columns %}
      {%- set words = file.missing.get(column) if file.missing is mapping else file.missing %}
      {% if words -%}
      case when trim({{ sql_name(column) }}) in ({{ sql_texts(words) }}) then '' else {{ sql_name(column) }} end
      as {{ sql_name(column) }}
      {%- else -%}
      {{ sql_name(column) }}
      {%- endif %}{{ ',' if not loop.last }}
      {%- endfor %}
    from {{ read_files_of(file, encoding, fields) }}
  )
  {%- else -%}
  {{ read_files_of(file, encoding, fields) }}
  {%- endif %}
{%- endmacro %}

{# The call of `read_files` for a delimited file. #}
{% macro read_files_of(file, encoding, fields) -%}
  {%- set charsets = {'latin-1': 'ISO-8859-1', 'latin1': 'ISO-8859-1', 'cp1252': 'windows-1252'} -%}
  read_files(
    {{ sql_text(file.path) }}, format => 'csv', header => true, sep => {{ sql_text(file.delimiter) }},
    mode => 'FAILFAST', multiLine => true, escape => {{ sql_text(file.escape or '"') }},
    {%- if file.skip_lines %}
    skipRows => {{ file.skip_lines }},
    {%- endif %}
    encoding => {{ sql_text(charsets.get(encoding | lower, encoding)) }}, schema => {{ sql_text(fields | join(', ')) }}
  )
{%- endmacro %}

{# Text such as -1234.5 from a number in another format; the query fails if it is not a number. #}
{% macro landed_number(column, decimal, thousands) -%}
  {%- set text = 'trim(' ~ sql_name(column) ~ ')' -%}
  {%- set grouped = '([0-9]{1,3}([' ~ (thousands or '') ~ '][0-9]{3})+|[0-9]+)' if thousands else '[0-9]+' -%}
  {%- set pattern = '^[+-]?' ~ grouped ~ '([' ~ decimal ~ '][0-9]+)?([eE][+-]?[0-9]+)?$' -%}
  {%- set ungrouped = 'replace(' ~ text ~ ', ' ~ sql_text(thousands) ~ ", '')" if thousands else text -%}
  case
    when {{ text }} = '' or {{ text }} rlike {{ sql_text(pattern) }}
    then replace({{ ungrouped }}, {{ sql_text(decimal) }}, '.')
    when {{ text }} is not null
    then raise_error(concat({{ sql_text(column ~ ' is not a number in the declared format: ') }}, {{ text }}))
  end
{%- endmacro %}

{#
  Text such as 2024-12-31, with a time if the pattern has one, from a date in another format. A name of a month is cut to
  three letters, and a German one becomes English, which Spark reads.
#}
{% macro landed_date(column, pattern) -%}
  {%- set text = 'trim(' ~ sql_name(column) ~ ')' -%}
  {%- set date = namespace(text=text) -%}
  {%- if 'MMM' in pattern -%}
    {%- set date.text = "regexp_replace(initcap(" ~ text ~ "), '([^0-9 ./-]{3})[^0-9 ./-]+', '$1')" -%}
    {%- for german, english in [('Mär', 'Mar'), ('Mrz', 'Mar'), ('Mai', 'May'), ('Okt', 'Oct'), ('Dez', 'Dec'), ('Jän', 'Jan')] -%}
      {%- set date.text = 'replace(' ~ date.text ~ ", '" ~ german ~ "', '" ~ english ~ "')" -%}
    {%- endfor -%}
  {%- endif -%}
  {%- set format = 'yyyy-MM-dd HH:mm:ss' if 'H' in pattern else 'yyyy-MM-dd' -%}
  case
    when {{ text }} = '' then ''
    else date_format(to_timestamp({{ date.text }}, {{ sql_text(pattern) }}), {{ sql_text(format) }})
  end
{%- endmacro %}
