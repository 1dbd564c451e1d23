{#
  SQL condition for the rows that this run appended to a relation, if none of their keys can have existed before. None
  if every row must be checked, as on every engine other than `embedded`, which reads the Delta log.
#}
{% macro appended_beyond(relation, key) -%}
  {{ return(adapter.dispatch('appended_beyond')(relation, key) if execute and relation is not string else none) }}
{%- endmacro %}

{% macro default__appended_beyond(relation, key) -%}
  {{ return(none) }}
{%- endmacro %}

{% macro embedded__appended_beyond(relation, key) -%}
  {{ return(adapter.appended_beyond(relation, key, run_started_at)) }}
{%- endmacro %}
