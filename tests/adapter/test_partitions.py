"""Overwritten partitions and batches: every type of partition value, and inputs without an event time."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.adapter.project import Project

HEAD = (
    "{{ config(materialized='incremental', incremental_strategy='insert_overwrite', partition_by=[PARTITIONS]) }}\n"
)
ID = "{{ var('stage', 1) }}"
OVERWRITES: Mapping[str, tuple[str, str]] = {
    "backslash": ("'p'", rf"select {ID} as id, 'a\\b' as p union all select 5, 'C:\\temp'"),
    "apostrophe": ("'p'", f'select {ID} as id, "O\'Brien" as p'),
    "special": ("'p'", f"select {ID} as id, 'a=b/c d%20ü' as p union all select {ID}, ''"),
    "number": ("'p'", f"select {ID} as id, cast(1.50 as decimal(5, 2)) as p union all select {ID}, null"),
    "times": (
        "'d', 't', 'b'",
        f"select {ID} as id, date'2024-02-29' as d, timestamp'2024-03-31 02:30:00.123456' as t, true as b"
        " union all select 100, cast(null as date), timestamp'0001-01-01 00:00:00', false",
    ),
}
BATCHES = """
{{ config(materialized='incremental', incremental_strategy='microbatch', event_time='at', begin='2024-01-01',
          batch_size='day', lookback=0) }}
select id, at from {{ ref('events') }}
"""
EVENTS = """
select 1 as id, timestamp'2024-01-01 09:00:00' as at union all select 2, timestamp'2024-01-02 00:00:00'
"""


@pytest.fixture(scope="module")
def overwritten(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, dict[str, list[dict[str, object]]]]:
    """Partitions written and overwritten, and the rows of the first write."""
    models = {f"models/{name}.sql": HEAD.replace("PARTITIONS", by) + sql for name, (by, sql) in OVERWRITES.items()}
    project = Project.below(tmp_path_factory.mktemp("partitions"), models)
    project.dbt("run")
    first = {name: project.rows(f"gold.{name}") for name in OVERWRITES}
    project.dbt("run", "--vars", "{stage: 7}")
    return project, first


@pytest.mark.parametrize("name", OVERWRITES)
def test_a_second_run_replaces_each_partition(
    overwritten: tuple[Project, dict[str, list[dict[str, object]]]], name: str
) -> None:
    project, first = overwritten
    expected = [row | {"id": 7 if row["id"] == 1 else row["id"]} for row in first[name]]
    assert sorted(project.rows(f"gold.{name}"), key=str) == sorted(expected, key=str)


def test_other_partitions_stay(tmp_path: Path) -> None:
    sql = "select {{ var('stage', 1) }} as id, '{{ var('stage', 1) }}' as p"
    project = Project.below(tmp_path, {"models/kept.sql": HEAD.replace("PARTITIONS", "'p'") + sql})
    project.dbt("run")
    project.dbt("run", "--vars", "{stage: 2}")
    assert project.rows("gold.kept") == [{"id": 1, "p": "1"}, {"id": 2, "p": "2"}]


def test_a_batch_takes_its_own_rows_of_an_input_without_event_time(tmp_path: Path) -> None:
    project = Project.below(tmp_path, {"models/events.sql": EVENTS, "models/batched.sql": BATCHES})
    project.dbt("run", "--event-time-start", "2024-01-01", "--event-time-end", "2024-01-05")
    assert [row["id"] for row in project.rows("gold.batched")] == [1, 2]
    project.dbt("run", "--event-time-start", "2024-01-01", "--event-time-end", "2024-01-05")
    assert [row["id"] for row in project.rows("gold.batched")] == [1, 2]
