{#
  Duplicate keys, among all rows or the rows that meet a condition. The test counts key hashes first: one number a row
  takes a third of the time and memory of the keys themselves. If the run only appended rows with later times, the
  test reads only these rows: none of their keys can have existed before. `dbt test` on its own reads every row. If the
  adapter has found that no two rows have one key, there is nothing left to query. The condition is `among`: a `where`
  is dbt's own, which makes a query of the relation, and leaves the adapter nothing to look at.
#}
{% test unique_key(model, columns, among='true') %}
{%- set key = 'xxhash64(' ~ columns | join(', ') ~ ')' %}
{%- set beyond = appended_beyond(model, columns) %}
{%- if not beyond and has_unique_key(model, columns, among) %}
-- The adapter compared the hashes of all keys, and no two are equal.
select {{ columns | join(', ') }}, cast(0 as bigint) as occurrences
from {{ model }}
where false
{%- else %}
{%- set where = '(' ~ among ~ ') and ' ~ beyond if beyond else among %}
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
{%- endif %}
{% endtest %}
