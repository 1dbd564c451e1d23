{#
  True if it is certain, without a query, that no two rows of a relation have one key, of those that meet the condition
  `among`. Only `embedded` can tell: it reads the files of its tables. It does so when a test runs, and not when one is
  compiled.
#}
{% macro has_unique_key(relation, key, among) -%}
  {%- set runs = execute and flags.WHICH in ('build', 'test') and relation is not string -%}
  {{ return(adapter.dispatch('has_unique_key')(relation, key, among) if runs else false) }}
{%- endmacro %}

{% macro default__has_unique_key(relation, key, among) -%}
  {{ return(false) }}
{%- endmacro %}

{% macro embedded__has_unique_key(relation, key, among) -%}
  {{ return(adapter.has_unique_key(relation, key, among)) }}
{%- endmacro %}
