"""SQL of the shapes that common dbt packages emit, built on the embedded engine."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.adapter.project import Project

ORDERS = """
select * from values
  (1, 'a', cast(10.5 as double), date'2024-01-01'), (2, 'b', cast(3 as double), date'2024-01-02'),
  (3, 'a', cast(null as double), date'2024-02-01'), (4, 'b', cast(4 as double), date'2024-03-05'),
  (5, 'b', cast(7 as double), date'2024-03-10') as t (id, kind, amount, day)
"""
NEWEST = [{"id": 3}, {"id": 5}]
# A package of the test, with macros that dispatch like those of dbt_utils.
PACKAGE: Mapping[str, str] = {
    "packages.yml": "packages: [{local: packages/dbt_utils}]\n",
    "packages/dbt_utils/dbt_project.yml": "name: dbt_utils\nversion: 1.0.0\nconfig-version: 2\n",
    "packages/dbt_utils/macros/all.sql": """
{% macro deduplicate(relation, partition_by, order_by) -%}
  {{ adapter.dispatch('deduplicate', 'dbt_utils')(relation, partition_by, order_by) }}
{%- endmacro %}

{% macro default__deduplicate(relation, partition_by, order_by) -%}
  with places as (
    select t.*, row_number() over (partition by {{ partition_by }} order by {{ order_by }}) as place
    from {{ relation }} as t
  )
  select distinct kept.* from {{ relation }} as kept natural join places where places.place = 1
{%- endmacro %}

{% macro relations_like(schema, table, exclude='') -%}
  {%- set sql = adapter.dispatch('get_tables_by_pattern_sql', 'dbt_utils')(schema, table, exclude) -%}
  {%- set names = [] -%}
  {%- for row in (run_query(sql) if execute else []) -%}
    {%- do names.append(api.Relation.create(
          schema=row['table_schema'], identifier=row['table_name'], type=row['table_type'])) -%}
  {%- endfor -%}
  {{ return(names) }}
{%- endmacro %}

{% macro default__get_tables_by_pattern_sql(schema, table, exclude, database=target.database) -%}
  select table_schema, table_name, 'table' as table_type from information_schema.tables
{%- endmacro %}

{% macro values_of(relation, column) -%}
  {%- set sql -%}
    select {{ column }} as value from {{ relation }} group by {{ column }} order by count(*) desc
  {%- endset -%}
  {{ return(run_query(sql).columns[0].values() if execute else []) }}
{%- endmacro %}
""",
}
MODELS: Mapping[str, str] = {
    "orders": ORDERS,
    "places": "select * from values (1, 'x'), (1, 'y'), (4, null) as t (id, place)",
    "deduplicated": "select id from ({{ dbt_utils.deduplicate(ref('orders'), 'kind', 'day desc') }})",
    "deduplicated_cte": """with kept as (select id, kind, day from {{ ref('orders') }})
        select id from ({{ dbt_utils.deduplicate('kept', 'kind', 'day desc') }}) as newest""",
    "pivoted": """select {% for kind in dbt_utils.values_of(ref('orders'), 'kind') %}
        sum(case when kind = '{{ kind }}' then 1 else 0 end) as {{ adapter.quote('kind_' ~ kind) }}
        {{- ',' if not loop.last }}{% endfor %} from {{ ref('orders') }}""",
    "by_pattern": """-- depends_on: {{ ref('orders') }} {{ ref('places') }}
        {% for found in dbt_utils.relations_like('go%', 'O%', exclude='OF%') -%}
        select '{{ found.identifier }}' as name, '{{ found.type }}' as kind, count(*) as n from {{ found }}
        {{ 'union all' if not loop.last }} {% else %}select 'none' as name, '' as kind, 0 as n{% endfor %}""",
    "most_orders": "select kind from {{ ref('orders') }} group by kind order by count(*) desc limit 1",
    "renamed_order": """select kind as label from {{ ref('orders') }} group by kind
        order by sum(amount) desc nulls last, kind limit 1""",
    "qualified": """select * from {{ ref('orders') }}
        qualify row_number() over (partition by kind order by day desc) = 1""",
    "qualified_alias": """select id, rank() over (partition by kind order by day desc) as place
        from {{ ref('orders') }} where id > 0 qualify place = 1 order by id limit 5""",
    "qualified_nested": """with newest as (
          select o.*, p.place from {{ ref('orders') }} o left join {{ ref('places') }} p on o.id = p.id
          qualify row_number() over (partition by o.id order by p.place) = 1
        ), two as (select kind, id from newest qualify row_number() over (partition by kind order by id) <= 2)
        select id from two union all select id from newest where place = 'x'""",
    "qualified_view": """{{ config(materialized='view') }}
        select id from {{ ref('orders') }} qualify max(day) over (partition by kind) = day""",
    "of_view": "select id from {{ ref('qualified_view') }}",
    "grouped_by_all": """select kind, date_trunc('month', day) as month, sum(amount) / count(*) as mean
        from {{ ref('orders') }} where id in (2, 4, 5) group by all""",
    "mixed_case": """select id, case when id = 1 then 1 when id = 2 then 2.5 end as half,
        if(id = 3, 1, 2.5D) as other from {{ ref('orders') }} where id < 4""",
    "mixed_union": "select 1 as n union all select 2.5D union all select cast(3 as bigint)",
    "mixed_view": """{{ config(materialized='view') }}
        select id, case when id = 1 then 1 when id = 2 then 2.5 end as half from {{ ref('orders') }}""",
    "mixed_times_kept": """select case when id > 1 then timestamp'2024-01-01 10:00:00' else day end as t
        from {{ ref('orders') }} where id < 3""",
    "mixed_contract": "select n from {{ ref('mixed_union') }} where n > 2",
    "last_weeks": """select id, sum(amount) over (
          partition by kind order by day range between interval 30 days preceding and current row) as recent
        from {{ ref('orders') }}""",
    "by_days": """select id, count(*) over (order by unix_date(day) range between 5 preceding and current row) as n
        from {{ ref('orders') }}""",
    "sunday": """select weekday(day) as monday_first, extract(dow from day) as sunday_first,
        date_part('dayofweek', day) as part, extract(dow_iso from day) as iso,
        date_trunc('week', day) as week, to_timestamp(1700000000) as read, timestamp_seconds(1.5) as fraction
        from (select date'2024-01-07' as day)""",
    "apostrophes": """select 'O''Brien' as name, 'a''''b' as two, "x""y" as quote, '' as empty, 'a\\'b' as escaped,
        length('''') as length -- a comment's apostrophe
        from {{ ref('orders') }} /* another's */ where id = 1 and kind <> 'it''s'""",
    "dated": """select id,
        {{ dbt.datediff("date'2023-12-31'", 'day', 'week') }} as weeks,
        {{ dbt.datediff("date'2023-12-31'", 'day', 'quarter') }} as quarters,
        {{ dbt.datediff("timestamp'2023-12-31 23:59:59'", 'day', 'hour') }} as hours,
        {{ dbt.datediff('null', 'day', 'day') }} as unknown,
        {{ dbt.last_day('day', 'quarter') }} as quarter_end
        from {{ ref('orders') }} where id = 1""",
    "listed": """select {{ dbt.listagg('id', "'-'", 'order by id desc') }} as whole,
        {{ dbt.listagg('kind', "', '", 'order by day desc', 2) }} as newest from {{ ref('orders') }}""",
}
CONTRACT = """
models:
  - name: mixed_contract
    config: {contract: {enforced: true}}
    columns: [{name: n, data_type: double}]
"""
ROWS: Mapping[str, list[Any]] = {
    "deduplicated": NEWEST,
    "deduplicated_cte": NEWEST,
    "pivoted": [{"kind_b": 3, "kind_a": 2}],
    "by_pattern": [{"name": "orders", "kind": "table", "n": 5}],
    "most_orders": [{"kind": "b"}],
    "renamed_order": [{"label": "b"}],
    "qualified_alias": [{"id": 3, "place": 1}, {"id": 5, "place": 1}],
    "qualified_nested": [{"id": 1}, {"id": 1}, {"id": 2}, {"id": 3}, {"id": 4}],
    "of_view": NEWEST,
    "grouped_by_all": [
        {"kind": "b", "month": datetime(2024, 1, 1, tzinfo=UTC), "mean": 3.0},
        {"kind": "b", "month": datetime(2024, 3, 1, tzinfo=UTC), "mean": 5.5},
    ],
    "mixed_case": [
        {"id": 1, "half": Decimal("1.0"), "other": 2.5},
        {"id": 2, "half": Decimal("2.5"), "other": 2.5},
        {"id": 3, "half": None, "other": 1.0},
    ],
    "mixed_times_kept": [{"t": datetime(2024, 1, 1, tzinfo=UTC)}, {"t": datetime(2024, 1, 1, 10, tzinfo=UTC)}],
    "mixed_union": [{"n": 1.0}, {"n": 2.5}, {"n": 3.0}],
    "mixed_contract": [{"n": 2.5}, {"n": 3.0}],
    "last_weeks": [
        {"id": 1, "recent": 10.5},
        {"id": 2, "recent": 3.0},
        {"id": 3, "recent": None},
        {"id": 4, "recent": 4.0},
        {"id": 5, "recent": 11.0},
    ],
    "by_days": [{"id": 1, "n": 1}, {"id": 2, "n": 2}, {"id": 3, "n": 1}, {"id": 4, "n": 1}, {"id": 5, "n": 2}],
    "sunday": [
        {
            "monday_first": 6,
            "sunday_first": 1,
            "part": 1,
            "iso": 7,
            "week": datetime(2024, 1, 1, tzinfo=UTC),
            "read": datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
            "fraction": datetime(1970, 1, 1, 0, 0, 1, 500000, tzinfo=UTC),
        }
    ],
    "apostrophes": [
        {"name": "O'Brien", "two": "a''b", "quote": 'x"y', "empty": "", "escaped": "a'b", "length": 1},
    ],
    "dated": [{"id": 1, "weeks": 0, "quarters": 1, "hours": 1, "unknown": None, "quarter_end": date(2024, 3, 31)}],
    "listed": [{"whole": "5-4-3-2-1", "newest": "b, b"}],
}
REFUSED: Mapping[str, tuple[str, str]] = {
    "star_of_using": (
        "select o.*, p.place from {{ ref('orders') }} o join {{ ref('places') }} p using (id)",
        "it leaves the joined columns out",
    ),
    "star_of_natural": (
        "select o.* from {{ ref('orders') }} o natural join {{ ref('places') }} p",
        "Join with ON, or select the columns of o by name",
    ),
    "range_of_dates": (
        "select sum(amount) over (order by day range 35 preceding) as s from {{ ref('orders') }}",
        "it ignores the bounds",
    ),
    "mixed_times": (
        "select case when id = 1 then day else timestamp'2024-01-01 10:00:00' end as t from {{ ref('orders') }}",
        "would cut the times off",
    ),
    "capitals": ("select initcap(kind) as k from {{ ref('orders') }}", "behind an apostrophe"),
    "bankers": ("select bround(2.5) as k", "rounds halves"),
    "end_of_months": (
        "select timestampdiff(month, day, timestamp'2024-02-29 00:00:00') as k from {{ ref('orders') }}",
        "ends of months",
    ),
    "two_meanings": (
        "select id, amount * 2 as amount, row_number() over (order by day) as n from {{ ref('orders') }} "
        "qualify n = 1 and amount > 5",
        "'amount' names two columns",
    ),
    "equal_names": (
        "select o.*, p.* from {{ ref('orders') }} o join {{ ref('places') }} p on o.id = p.id "
        "qualify row_number() over (partition by o.id order by p.place) = 1",
        "columns have the same name",
    ),
    "star_grouped_by_all": ("select *, count(*) from {{ ref('orders') }} group by all", "Name the columns"),
}


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """All models, built from an empty warehouse in one process and then once more from the stored views."""
    files = {f"models/{name}.sql": sql for name, sql in MODELS.items()}
    project = Project.below(tmp_path_factory.mktemp("shapes"), {"models/held.yml": CONTRACT, **files, **PACKAGE})
    settings = (project.root / "dbt_project.yml").read_text(encoding="utf-8")
    search = "dispatch: [{macro_namespace: dbt_utils, search_order: [small, dbt, dbt_utils]}]\n"
    project.write({"dbt_project.yml": settings + search})
    project.dbt("deps")
    project.dbt("run")
    project.dbt("run", "--select", "of_view", "mixed_union")
    return project


@pytest.mark.parametrize("name", ROWS)
def test_a_model_of_a_common_shape_has_the_rows_of_spark(shapes: Project, name: str) -> None:
    assert shapes.rows(f"gold.{name}") == ROWS[name]


def test_qualify_keeps_every_column_of_a_star(shapes: Project) -> None:
    assert [row["id"] for row in shapes.rows("gold.qualified")] == [3, 5]
    assert [field.name for field in shapes.table("gold.qualified").schema().fields] == ["id", "kind", "amount", "day"]


def test_a_column_of_branches_of_different_types_keeps_fractions(shapes: Project) -> None:
    types = {field.name: field.type.type for field in shapes.table("gold.mixed_case").schema().fields}
    assert types == {"id": "integer", "half": "decimal(11,1)", "other": "double"}
    listed = shapes.dbt("show", "--inline", "select max(half) as half from {{ ref('mixed_view') }}")
    assert "2.5" in listed


def test_every_wrong_or_missing_shape_is_refused_with_its_reason(shapes: Project) -> None:
    shapes.write({f"models/refused/{name}.sql": sql for name, (sql, _) in REFUSED.items()})
    try:
        output = shapes.dbt("run", "--select", "refused.*", exits=1)
    finally:
        for name in REFUSED:
            (shapes.root / f"models/refused/{name}.sql").unlink()
    assert f"ERROR={len(REFUSED)} " in output
    assert [name for name, (_, reason) in REFUSED.items() if reason not in output] == []
    assert not (shapes.warehouse.root / "gold/capitals").exists()


def test_docs_list_every_relation_that_can_be_read_and_name_the_others(tmp_path: Path) -> None:
    files = {
        "models/kept.sql": "select 1 as id",
        "models/source.sql": "select 1 as id",
        "models/damaged.sql": "select 1 as id",
        "models/over.sql": "{{ config(materialized='view') }}\nselect id from {{ ref('source') }}",
        "models/failed.sql": "select cast('x' as int) as id",
        "models/behind.sql": "select id from {{ ref('failed') }}",
    }
    project = Project.below(tmp_path, files)
    project.dbt("run", exits=1)
    (project.warehouse.root / "gold/source").rename(tmp_path / "elsewhere")
    output = project.dbt("docs", "generate")
    catalog = (project.root / "target/catalog.json").read_text(encoding="utf-8")
    assert "model.small.kept" in catalog
    assert "model.small.over" not in catalog
    assert "`gold`.`over` is missing in the catalogue" in output
    log = project.warehouse.root / "gold/damaged/_delta_log/00000000000000000000.json"
    log.write_text("not json", encoding="utf-8")
    output = project.dbt("docs", "generate")
    catalog = (project.root / "target/catalog.json").read_text(encoding="utf-8")
    assert ("model.small.kept" in catalog, "model.small.damaged" in catalog) == (True, False)
    assert "table gold.damaged is left out" in output
    assert "`gold`.`damaged` is missing in the catalogue" in output
