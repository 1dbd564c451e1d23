{#
  A condition for the rows that this run has appended to a relation, where no key of them can have been there before;
  none where every row is in question, as on every engine whose log is not read.
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
