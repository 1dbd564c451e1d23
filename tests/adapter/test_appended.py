"""Rows read by the key test: only those appended by the run if that is enough, otherwise all."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from dbt.adapters.embedded.appended import appended_beyond
from deltalake import write_deltalake

from lakehouse.settings import PROJECT
from lakehouse.tables.warehouse import TableName, Warehouse
from tests.adapter.project import Project

NAME = TableName("gold", "visits")
LONG_AGO, SOON = datetime(2020, 1, 1, tzinfo=UTC), datetime.now(UTC) + timedelta(days=1)


def write(root: Path, *days: int, mode: str = "append") -> datetime:
    """Write a row for each day and return the time just before the write."""
    before = datetime.now(UTC)
    times = pa.array([LONG_AGO + timedelta(days=day) for day in days], pa.timestamp("us", "UTC"))
    rows = pa.table({"client": pa.array([1] * len(days), pa.int64()), "at": times})
    write_deltalake(root / "gold" / "visits", rows, mode=mode)  # type: ignore[call-overload]
    return before


def condition(root: Path, since: datetime) -> str | None:
    return appended_beyond(Warehouse(root), NAME, ["client", "at"], since)


@pytest.mark.parametrize(
    ("days", "expected"),
    [((4, 5), "at > timestamp'2020-01-04 00:00:00.000000'"), ((3, 5), None), ((2, 9), None)],
    ids=["later", "at the last time", "earlier"],
)
def test_only_appended_rows_are_checked_if_their_times_are_later(
    tmp_path: Path, days: tuple[int, ...], expected: str | None
) -> None:
    write(tmp_path, 1, 3)
    assert condition(tmp_path, write(tmp_path, *days)) == expected


def test_every_row_is_checked_in_a_new_rewritten_or_unchanged_table(tmp_path: Path) -> None:
    assert condition(tmp_path, write(tmp_path, 1)) is None
    assert condition(tmp_path, SOON) is None
    assert condition(tmp_path, write(tmp_path, 1, 2, mode="overwrite")) is None
    assert condition(tmp_path, LONG_AGO) is None


def test_a_table_that_is_not_built_has_no_condition(tmp_path: Path) -> None:
    assert condition(tmp_path, LONG_AGO) is None


MODEL = "{{ config(materialized='incremental', incremental_strategy='append') }} "
ROWS = "select 1L as client, timestamp'2024-05-0{} 00:00:00' as at"
MACRO_FILES = {"tests/generic/unique_key.sql": "data_tests/generic", "macros/appended_beyond.sql": "macros"}
VISITS = {
    "name": "visits",
    "config": {"meta": {"feature_catalog": {"is_feature_table": True, "entity": "client", "timestamp_column": "at"}}},
    "data_tests": [{"unique_key": {"arguments": {"columns": ["client", "at"]}}}],
}


def test_a_duplicate_key_fails_the_build_whichever_rows_were_appended(tmp_path: Path) -> None:
    source = PROJECT / "dbt_project"
    copied = {to: (source / folder / Path(to).name).read_text(encoding="utf-8") for to, folder in MACRO_FILES.items()}
    project = Project.below(tmp_path, copied)
    project.write({"models/visits.yml": yaml.safe_dump({"models": [VISITS]})})

    def build(*days: int, exits: int = 0, results: int = 1, checked: str = "where true\n") -> None:
        query = " union all ".join(ROWS.format(day) for day in days)
        project.write({"models/visits.sql": MODEL + query})
        output = project.dbt("build", exits=exits)
        assert (f"Got {results} result" in output) is (exits == 1)
        compiled = next((project.root / "target" / "compiled").rglob("unique_key*.sql"))
        assert checked in compiled.read_text(encoding="utf-8")

    build(1, 2)
    build(3, checked="where (true) and at > timestamp'2024-05-02 00:00:00.000000'")
    build(4, 4, exits=1, checked="where (true) and at > timestamp'2024-05-03 00:00:00.000000'")
    build(2, exits=1, results=2)
