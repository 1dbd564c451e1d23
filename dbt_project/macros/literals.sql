{#
  Values as SQL literals. Each macro and data test that puts a value into SQL calls `sql_text`, `sql_number` or
  `sql_name`. For an engine with other rules, write `<adapter type>__sql_text`.
#}

{#
  Text as a literal. A quote is escaped by a backslash: Sail, Spark and Databricks join adjacent literals, so two quotes
  would be read as none. `${` is escaped because Spark replaces `${name}` by a variable, inside literals too.
#}
{% macro sql_text(value) -%}
  {%- if value is none -%}{{ exceptions.raise_compiler_error("sql_text needs a text, not None.") }}{%- endif -%}
  {{ return(adapter.dispatch('sql_text')(value | string)) }}
{%- endmacro %}

{% macro default__sql_text(value) -%}
  {{ return("'" ~ value | replace('\\', '\\\\') | replace("'", "\\'") | replace('${', '\\u0024{') ~ "'") }}
{%- endmacro %}

{# Texts as literals between commas, for `in (...)`. #}
{% macro sql_texts(values) -%}
  {%- set literals = [] -%}
  {%- for value in values -%}{%- do literals.append(sql_text(value)) -%}{%- endfor -%}
  {{ return(literals | join(', ')) }}
{%- endmacro %}

{#
  Number as a literal. A fraction is a double: a decimal literal beside a double makes a decimal(30, 15) on Sail, which
  rounds small values and fails on large ones. So does an integer beyond 64 bits.
#}
{% macro sql_number(value) -%}
  {%- if value is integer and value | abs < 2 ** 63 -%}{{ return(value | string) }}{%- endif -%}
  {%- if value is not number or value is boolean or value | string in ('inf', '-inf', 'nan') -%}
    {{ exceptions.raise_compiler_error("sql_number needs a finite number, not " ~ tojson(value, value | string) ~ ".") }}
  {%- endif -%}
  {{ return(adapter.dispatch('sql_double')(value)) }}
{%- endmacro %}

{% macro default__sql_double(value) -%}
  {{ return(value ~ 'D') }}
{%- endmacro %}

{# Quoted name of a column or table. #}
{% macro sql_name(name) -%}
  {{ return('`' ~ name | replace('`', '``') ~ '`') }}
{%- endmacro %}

{# dbt writes the texts of unit tests through this macro. dbt-spark's version keeps a backslash, which then escapes. #}
{% macro spark__escape_single_quotes(expression) -%}
  {{ return(sql_text(expression)[1:-1]) }}
{%- endmacro %}

{# dbt's version puts the values between quotes as they are, and a fraction beside a double as a decimal. #}
{% macro default__test_accepted_values(model, column_name, values, quote=true) -%}
  {%- set literals = [] -%}
  {%- for value in values -%}
    {%- do literals.append(sql_text(value) if quote else sql_number(value) if value is integer or value is float else value | string) -%}
  {%- endfor -%}
  select {{ column_name }} as value_field, count(*) as n_records
  from {{ model }}
  where {{ column_name }} not in ({{ literals | join(', ') }})
  group by {{ column_name }}
{%- endmacro %}
