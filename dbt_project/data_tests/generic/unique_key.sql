{#
  Keys that occur more than once, of all rows or of those that a condition names. Their hashes are counted first: one
  number a row takes a third of the time and memory that the keys themselves take. After a run that only appended
  rows of later times, those are enough: no key of them was there before. `dbt test` alone looks at every row.
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
