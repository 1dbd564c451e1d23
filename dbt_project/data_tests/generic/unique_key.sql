{#
  Duplicate keys, among all rows or the rows that meet a condition. The test counts key hashes first: one number a row
  takes a third of the time and memory of the keys themselves. If the run only appended rows with later times, the
  test reads only these rows: none of their keys can have existed before. `dbt test` on its own reads every row.
#}
{% test unique_key(model, columns, where='true') %}
{%- set key = 'xxhash64(' ~ columns | join(', ') ~ ')' %}
{%- set beyond = appended_beyond(model, columns) %}
{%- set where = '(' ~ where ~ ') and ' ~ beyond if beyond else where %}
with suspects as (

  select {{ key }} as key_hash
  from {{ model }}
  where {{ where }}
  group by {{ key }}
  having count(*) > 1

)

select {{ columns | join(', ') }}, count(*) as occurrences
from {{ model }}
where {{ where }} and {{ key }} in (select key_hash from suspects)
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}
