"""Rows read by the key test: none if no two keys are equal, those appended by the run if they suffice, or all."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from dbt.adapters.embedded.appended import appended_beyond
from dbt.adapters.embedded.unique_keys import has_unique_key
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


@pytest.mark.parametrize(
    ("keys", "unique"),
    [
        ([1.0, 2.0, None], True),
        ([1.0, 2.0, 1.0], False),
        ([None, 1.0, None], False),
        ([float("nan"), 1.0, -float("nan")], False),
        ([0.0, 1.0, -0.0], False),
    ],
    ids=["unique", "twice", "NULL twice", "NaN twice", "two zeros"],
)
def test_no_query_is_needed_if_no_two_keys_can_be_equal(
    tmp_path: Path, keys: list[float | None], unique: bool
) -> None:
    for key in keys:  # in several files
        rows = pa.table({"client": pa.array([key], pa.float64()), "day": pa.array([1])})
        write_deltalake(tmp_path / "gold" / "visits", rows, mode="append")
    assert has_unique_key(Warehouse(tmp_path), NAME, ["client", "day"]) is unique
    assert not has_unique_key(Warehouse(tmp_path), NAME, ["client", "abs(day)"])
    assert not has_unique_key(Warehouse(tmp_path), TableName("gold", "not_built"), ["client"])


@pytest.mark.parametrize(
    ("among", "unique"),
    [
        ("true", False),
        ("refused is null", True),
        ("Refused IS NULL", False),  # only the engine reads a name in other letters
        (" refused  IS  NOT  NULL ", False),
        ("refused is null or client > 0", False),
        ("missing is null", False),
        ("client is not null", False),
    ],
)
def test_only_rows_among_which_keys_must_be_unique_are_compared(tmp_path: Path, among: str, unique: bool) -> None:
    refused = pa.array([None, None, "twice", "twice"], pa.string())
    write_deltalake(tmp_path / "gold" / "visits", pa.table({"client": [1, 2, 1, 1], "refused": refused}))
    assert has_unique_key(Warehouse(tmp_path), NAME, ["client"], among) is unique


MODEL = "{{ config(materialized='incremental', incremental_strategy='append') }} "
ROWS = "select 1L as client, timestamp'2024-05-0{} 00:00:00' as at"
MACRO_FILES = {
    "tests/generic/unique_key.sql": "data_tests/generic",
    "macros/appended_beyond.sql": "macros",
    "macros/has_unique_key.sql": "macros",
}
VISITS = {
    "name": "visits",
    "config": {"meta": {"feature_catalog": {"is_feature_table": True, "entity": "client", "timestamp_column": "at"}}},
    "data_tests": [{"unique_key": {"arguments": {"columns": ["client", "at"], "among": "client is not null"}}}],
}


def test_a_duplicate_key_fails_the_build_whichever_rows_were_appended(tmp_path: Path) -> None:
    source = PROJECT / "dbt_project"
    copied = {to: (source / folder / Path(to).name).read_text(encoding="utf-8") for to, folder in MACRO_FILES.items()}
    project = Project.below(tmp_path, copied)
    project.write({"models/visits.yml": yaml.safe_dump({"models": [VISITS]})})

    def build(*days: int, exits: int = 0, results: int = 1, checked: str = "where client is not null\n") -> None:
        query = " union all ".join(ROWS.format(day) for day in days)
        project.write({"models/visits.sql": MODEL + query})
        output = project.dbt("build", exits=exits)
        assert (f"Got {results} result" in output) is (exits == 1)
        compiled = next((project.root / "target" / "compiled").rglob("unique_key*.sql"))
        assert checked in compiled.read_text(encoding="utf-8")

    build(1, 2, checked="where false")
    build(3, checked="where (client is not null) and at > timestamp'2024-05-02 00:00:00.000000'")
    build(4, 4, exits=1, checked="where (client is not null) and at > timestamp'2024-05-03 00:00:00.000000'")
    build(2, exits=1, results=2)
