"""Conformance of every home of the feature store: DuckDB, Sail, JVM Spark, Databricks' client, and plain Python."""

import csv
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.harness.jvm_spark import available
from lakehouse.session import new_session, open_session
from lakehouse.tables.warehouse import TableNotFound
from tests.contract.feature_store.homes import DatabricksHome, Declared, Home, LocalHome, PlainHome
from tests.contract.feature_store.unity_catalog import Workspace, vendor_client
from training.feature_store.errors import (
    DuplicateColumn,
    DuplicateKey,
    FeatureNotFound,
    KeyTypesDiffer,
    NotAFeatureTable,
    TableExists,
)
from training.feature_store.joined_rows import SparkRows
from training.feature_store.tables import FeatureLookup, Spine

TIME = pa.timestamp("us", "UTC")
SPINE = Spine("gold.labels", ("client",), "at", "label")
VALUE = FeatureLookup("gold.features", ("value",))
TYPES = {"at": TIME, "known_at": TIME, "arrived_at": TIME, "country": pa.string(), "label": pa.int32()}
BY_CLIENT = Declared(("client",), encodings=[{"column": "value", "as": "number"}])
NO_JAVA = pytest.mark.skipif(not available(), reason="no java on the PATH")


@pytest.fixture(scope="module")
def jvm(jvm_spark: str) -> Iterator[Any]:
    session = new_session(jvm_spark)
    yield session
    session.stop()


@pytest.fixture(
    params=["duckdb", "sail", pytest.param("jvm", marks=[NO_JAVA, pytest.mark.jvm]), "databricks", "plain"]
)
def home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    if request.param == "databricks":
        return DatabricksHome(Workspace(vendor_client(monkeypatch)))
    if request.param == "plain":
        return PlainHome()
    session = request.getfixturevalue("jvm") if request.param == "jvm" else open_session()
    return LocalHome(session, tmp_path, joins_in_engine=request.param != "duckdb")


@pytest.fixture(params=["duckdb", "sail", "databricks"])
def typed_home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """The homes with typed joins: plain Python compares any two values."""
    if request.param == "databricks":
        return DatabricksHome(Workspace(vendor_client(monkeypatch)))
    return LocalHome(open_session(), tmp_path, joins_in_engine=request.param == "sail")


def day(number: float) -> datetime:
    return datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=number - 1)


def table(columns: str, rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    names = columns.split()
    values = zip(*rows, strict=True) if rows else [()] * len(names)
    arrays = [pa.array(column, TYPES.get(name, pa.int64())) for name, column in zip(names, values, strict=True)]
    return pa.table(dict(zip(names, arrays, strict=True)))


def write_labels(home: Home, *rows: tuple[int, datetime]) -> None:
    home.write("gold.labels", table("client at label", [(*row, 0) for row in rows]))


def write_features(home: Home, *rows: tuple[int, datetime, int | None], name: str = "gold.features") -> None:
    home.write(name, table("client known_at value", rows), BY_CLIENT)


def frame(home: Home, *lookups: FeatureLookup, spine: Spine = SPINE) -> list[tuple[Any, ...]]:
    rows, _ = home.store.training_frame(spine, lookups or [VALUE])
    return [tuple(row.values()) for row in rows.to_arrow().to_pylist()]


with (Path(__file__).parents[2] / "golden" / "point_in_time.csv").open(encoding="utf-8") as _file:
    CASES = list(csv.DictReader(_file))


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_join_uses_the_newest_row_at_or_before_the_time(home: Home) -> None:
    """One frame for all golden cases: each case has its own clients (11, 12; 21, 22; ...), each lookback a table."""
    cases = {10 * place: case for place, case in enumerate(CASES, 1)}
    lookups = []
    for days in sorted({case["lookback_days"] for case in CASES}):
        name = f"value_{days or 'any'}"
        known = [
            (first + 1, moment(at), int(value))
            for first, case in cases.items()
            if case["lookback_days"] == days
            for at, value in (pair.split("=") for pair in case["features"].split())
        ]
        home.write(f"gold.{name}", table(f"client known_at {name}", known), Declared(("client",)))
        lookups.append(FeatureLookup(f"gold.{name}", (name,), int(days) if days else None))
    write_labels(home, *((first + int(case["entity"]), moment(case["at"])) for first, case in cases.items()))
    rows, _ = home.store.training_frame(SPINE, lookups)
    found = {row["client"] // 10 * 10: row for row in rows.to_arrow().to_pylist()}
    assert len(found) == len(cases)
    for first, case in cases.items():
        expected = int(case["expected"]) if case["expected"] else None
        assert found[first][f"value_{case['lookback_days'] or 'any'}"] == expected, case["case"]


def test_a_frame_is_sorted_by_time_key_and_label_and_keeps_every_row(home: Home) -> None:
    write_features(home, (1, day(1), 7), (3, day(2), None))
    rows = [(2, day(3)), (1, day(3)), (1, day(3)), (3, day(2))]
    write_labels(home, *rows)
    assert frame(home) == [
        (3, day(2), 0, None),
        (1, day(3), 0, 7),
        (1, day(3), 0, 7),
        (2, day(3), 0, None),
    ]


def test_columns_of_the_spine_have_its_order_while_the_features_stay_on_spark(tmp_path: Path) -> None:
    """Sail sorts so many rows in several parts, and a selection of columns does not merge them."""
    home, count = LocalHome(open_session(), tmp_path, joins_in_engine=True), 60_000
    times = np.datetime64(day(1).replace(tzinfo=None), "us") + np.random.default_rng(1).permutation(count)
    labels = {"client": np.arange(count), "at": pa.array(times, TIME), "label": np.arange(count) % 2}
    home.write("gold.labels", pa.table(labels))
    write_features(home, (5, day(0), 7))
    joined, _ = home.store.training_frame(SPINE, [VALUE])
    assert isinstance(joined, SparkRows)
    kept, whole = joined.of_spine(SPINE.columns, [VALUE.features]), joined.to_arrow()
    assert kept.to_arrow().select(SPINE.columns).equals(whole.select(SPINE.columns))
    assert np.array_equal(~kept.unmatched(VALUE.features), whole["client"].to_numpy() == 5)


def test_tables_with_different_keys_and_lookbacks_are_joined(home: Home) -> None:
    home.write("gold.labels", table("at country client label", [(day(9), "DE", 1, 0), (day(9), "AT", 2, 0)]))
    home.write(
        "gold.by_both",
        table("country known_at client visits", [("DE", day(1), 1, 5), ("AT", day(8), 1, 6)]),
        Declared(("client", "country")),
    )
    home.write(
        "gold.by_country",
        table("known_at country people", [(day(2), "DE", 80), (day(8), "AT", 9)]),
        Declared(("country",)),
    )
    spine = Spine("gold.labels", ("client", "country"), "at", "label")
    lookups = FeatureLookup("gold.by_country", ("people",), 5), FeatureLookup("gold.by_both", ("visits",))
    assert frame(home, *lookups, spine=spine) == [
        (1, "DE", day(9), 0, None, 5),
        (2, "AT", day(9), 0, 9, None),
    ]


def test_a_marker_tells_a_row_without_any_value_from_no_row(home: Home) -> None:
    kept = Declared(("client",), encodings=[{"column": "value", "as": "number", "missing": "keep"}])
    home.write("gold.features", table("client known_at value", [(1, day(1), None), (2, day(1), 5)]), kept)
    write_labels(home, (1, day(2)), (2, day(2)), (3, day(2)))
    lookup = home.store.table("gold.features").lookup(["value"])
    assert frame(home, lookup) == [
        (1, day(2), 0, None, True),
        (2, day(2), 0, 5, True),
        (3, day(2), 0, None, None),
    ]


def test_join_ignores_rows_that_arrived_later(home: Home) -> None:
    rows = [(1, day(1), day(1), 10), (1, day(3), day(8), 30), (1, day(3), day(9), 31), (1, day(2), day(7), 20)]
    home.write(
        "gold.features", table("client known_at arrived_at value", rows), Declared(("client",), known_at="arrived_at")
    )
    write_labels(home, *((1, day(number)) for number in range(5, 11)))
    assert [row[-1] for row in frame(home)] == [10, 10, 20, 30, 31, 31]


def test_duplicate_keys_are_refused(home: Home) -> None:
    write_features(home, (1, day(1), 1), (1, day(1), 2))
    write_labels(home, (1, day(2)))
    with pytest.raises(
        DuplicateKey,
        match=r"(?s)gold\.features has 2 rows with the same key and timestamp \(client 1, "
        r".*dbt test --select features",
    ):
        frame(home)


LARGE = 2**53 + 1


@pytest.mark.parametrize(
    ("spine_key", "table_key", "types"),
    [
        (pa.array([float(LARGE)]), pa.array([LARGE]), ("double", "bigint")),
        (pa.array([LARGE]), pa.array([float(LARGE)]), ("bigint", "double")),
        (pa.array([LARGE]), pa.array([str(LARGE)]), ("bigint", "string")),
        (pa.array(["1"]), pa.array([1], pa.int32()), ("string", "int")),
        (pa.array([1]), pa.array([Decimal(1)], pa.decimal128(20, 0)), ("bigint", r"decimal\(20,0\)")),
        (pa.array([date(2020, 1, 1)]), pa.array([day(1)], TIME), ("date", "timestamp")),
    ],
)
def test_keys_of_different_types_are_refused_by_name(
    typed_home: Home, spine_key: pa.Array, table_key: pa.Array, types: tuple[str, str]
) -> None:
    write_keys(typed_home, spine_key, table_key)
    told = rf"'client' is of type {types[1]} in gold\.features, and of type {types[0]} in the spine gold\.labels\n"
    with pytest.raises(KeyTypesDiffer, match=told):
        frame(typed_home)


@pytest.mark.parametrize(
    ("spine_type", "table_type"),
    [
        (pa.int32(), pa.int64()),
        (pa.int64(), pa.int16()),
        (pa.decimal128(9, 0), pa.decimal128(20, 0)),
    ],
)
def test_integers_of_different_width_are_joined_in_the_type_of_the_spine(
    typed_home: Home, spine_type: pa.DataType, table_type: pa.DataType
) -> None:
    clients = [Decimal(1), Decimal(2)]
    larger = pa.types.is_int64(table_type) or pa.types.is_decimal(table_type)
    beyond = [*clients, Decimal(2**32 + 1)] if larger else clients  # in 32 bits it would be 1
    spine_key = pa.array(clients, pa.decimal128(20, 0)).cast(spine_type)
    write_keys(typed_home, spine_key, pa.array(beyond, pa.decimal128(20, 0)).cast(table_type))
    rows, _ = typed_home.store.training_frame(SPINE, [VALUE])
    found = rows.to_arrow()
    assert found["client"].type == spine_type
    assert sorted(zip(found["client"].to_pylist(), found["value"].to_pylist(), strict=True)) == [(1, 0), (2, 1)]


def write_keys(home: Home, spine_key: pa.Array, table_key: pa.Array) -> None:
    times, labels = pa.array([day(2)] * len(spine_key), TIME), pa.array([0] * len(spine_key), pa.int32())
    home.write("gold.labels", pa.table({"client": spine_key, "at": times, "label": labels}))
    known = pa.array([day(1)] * len(table_key), TIME)
    values = pa.table({"client": table_key, "known_at": known, "value": range(len(table_key))})
    home.write("gold.features", values, BY_CLIENT)


def test_a_frame_is_rebuilt_from_its_versions(home: Home) -> None:
    write_features(home, (1, day(1), 5))
    write_labels(home, (1, day(2)))
    rows, versions = home.store.training_frame(SPINE, [VALUE])
    before = rows.to_arrow()
    write_features(home, (1, day(1), 6))
    write_labels(home, (1, day(2)), (2, day(2)))
    again, same = home.store.training_frame(SPINE, [VALUE], versions)
    assert (again.to_arrow().to_pylist(), same) == (before.to_pylist(), versions)
    assert [row[-1] for row in frame(home)] == [6, None]


def test_a_feature_table_has_its_key_features_and_encodings(home: Home) -> None:
    write_features(home, (1, day(1), 5))
    write_features(home, (1, day(1), 5), name="gold.a_features")
    write_labels(home, (1, day(1)))
    found = home.store.table("gold.features")
    assert (found.keys, found.timestamp, found.known_at) == (("client",), "known_at", None)
    assert found.description == "About gold.features."
    assert [(f.name, f.data_type, f.description) for f in found.features] == [("value", "bigint", "Its value.")]
    assert [encoding.kind for encoding in found.encodings] == ["number"]
    assert [each.name for each in home.store.tables()] == ["gold.a_features", "gold.features"]


def test_missing_table_and_column_errors_suggest_names(home: Home) -> None:
    write_features(home, (1, day(1), 5))
    write_labels(home, (1, day(1)))
    with pytest.raises(TableNotFound, match=r"Did you mean 'gold\.features'.*\n.*dbt build --select \+feature$"):
        home.store.table("gold.feature")
    with pytest.raises(NotAFeatureTable, match=r"gold\.labels is not a feature table"):
        home.store.table("gold.labels")
    with pytest.raises(FeatureNotFound, match=r"gold\.features has no column 'values'\. Did you mean 'value'"):
        frame(home, FeatureLookup("gold.features", ("values",)))
    with pytest.raises(FeatureNotFound, match=r"gold\.labels has no column 'labels'"):
        frame(home, spine=Spine("gold.labels", ("client",), "at", "labels"))
    with pytest.raises(DuplicateColumn, match=r"already has a column 'value', and gold\.features"):
        frame(home, VALUE, VALUE)


def test_a_vocabulary_has_each_category_at_its_integer_at_each_version(home: Home) -> None:
    index = partial(pa.array, type=pa.int32())
    home.write("gold.job_index", pa.table({"job": ["b"], "job_index": index([2])}))
    home.write("gold.job_index", pa.table({"job": ["b", "a"], "job_index": index([2, 4])}))
    assert home.store.vocabulary("gold.job_index")[0] == ("", "", "b", "", "a")
    assert home.store.vocabulary("gold.job_index", 0) == (("", "", "b"), 0)


def test_random_histories_are_joined_as_by_the_reference_store(home: Home) -> None:
    """Equal, late and unordered times; test_leaks.py draws more than the slow engines can run."""
    draw = Random(7)  # noqa: S311  (histories, no secret)
    history = {(draw.randint(1, 9), day(draw.randint(1, 6)), day(draw.randint(1, 9))) for _ in range(90)}
    rows = table("client known_at arrived_at value", [(*key, value) for value, key in enumerate(sorted(history))])
    spine = [(draw.randint(1, 9), day(draw.randint(1, 18) / 2)) for _ in range(60)]
    plain = PlainHome()
    for each in (home, plain):
        each.write("gold.features", rows, Declared(("client",), known_at="arrived_at"))
        write_labels(each, *spine)
    for days in (None, 3):
        lookup = FeatureLookup("gold.features", ("value",), days)
        found = frame(home, lookup)
        assert found == frame(plain, lookup)
        assert len({row[-1] for row in found}) > 9


def test_a_created_table_is_read_back_and_not_overwritten(home: Home) -> None:
    if isinstance(home, DatabricksHome):
        pytest.skip("the stand-in for a workspace writes nothing: test_databricks_feature_store")
    write_labels(home, (1, day(1)), (2, day(2)))
    home.store.create("gold.copy", home.store.rows("gold.labels"))
    copied = home.store.rows("gold.copy").toArrow().sort_by("client")
    assert copied["client"].to_pylist() == [1, 2]
    with pytest.raises(TableExists, match=r"gold\.copy already exists"):
        home.store.create("gold.copy", home.store.rows("gold.labels"))
    with pytest.raises(TableNotFound, match=r"gold\.lables .*Did you mean 'gold\.labels'"):
        home.store.rows("gold.lables")
