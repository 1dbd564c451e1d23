"""The Feature Store on real Delta tables and the real engine."""

import csv
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehouse.session import open_session
from lakehouse.warehouse import TableNotFound, Warehouse
from training.feature_store import FeatureLookup, FeatureNotFound, Spine
from training.feature_store.local import LocalFeatureStore, NoFeatureTable

GOLDEN = Path(__file__).parent.parent / "golden" / "point_in_time.csv"
SPINE = Spine("gold.labels", ("entity",), "at", "label")
Row = tuple[int, datetime, int]


@pytest.fixture
def store(tmp_path: Path) -> LocalFeatureStore:
    return LocalFeatureStore(open_session(), Warehouse(tmp_path))


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def write(root: Path, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    kinds = {"known_at": pa.timestamp("us", "UTC"), "at": pa.timestamp("us", "UTC"), "label": pa.int32()}
    schema = pa.schema([(name, kinds.get(name, pa.int64())) for name in columns])
    data = pa.table([list(column) for column in zip(*rows, strict=True)] or [[] for _ in columns], schema=schema)
    write_deltalake(root / "gold" / table, data, mode="overwrite")


def write_features(root: Path, rows: Sequence[Row], table: str = "features") -> None:
    published = {
        "feature_table.primary_keys": json.dumps(["entity"]),
        "feature_table.timestamp_column": "known_at",
        "feature_table.description": "It's a table.",
        "feature_table.features": json.dumps({"value": {"data_type": "bigint", "description": "A value."}}),
        "feature_table.encodings": json.dumps([{"column": "value", "as": "number"}]),
    }
    write(root, table, ["entity", "known_at", "value"], rows)
    written = DeltaTable(root / "gold" / table)
    if written.version() == 0:
        written.alter.set_table_properties(published, raise_if_not_exists=False)


def write_spine(root: Path, rows: Sequence[Row]) -> None:
    write(root, "labels", ["entity", "at", "label"], rows)


def looked_up(store: LocalFeatureStore, lookback: int | None = None) -> list[tuple[int, datetime, int | None]]:
    frame, _ = store.training_frame(SPINE, [FeatureLookup("gold.features", ("value",), lookback)])
    return [(row["entity"], row["at"], row["value"]) for row in frame.toArrow().to_pylist()]


def test_feature_tables_are_the_tables_with_a_key(store: LocalFeatureStore) -> None:
    root = store.warehouse.root
    write_features(root, [(1, day("2020-01-01"), 5)], "b_features")
    write_features(root, [(1, day("2020-01-01"), 5)], "a_features")
    write_spine(root, [(1, day("2020-01-01"), 1)])
    assert [table.name for table in store.tables()] == ["gold.a_features", "gold.b_features"]
    table = store.table("gold.a_features")
    assert (table.keys, table.timestamp, table.version) == (("entity",), "known_at", 1)
    assert [(f.name, f.data_type, f.description) for f in table.features] == [("value", "bigint", "A value.")]
    assert [encoding.kind for encoding in table.encodings] == ["number"]


def test_a_table_without_a_key_is_no_feature_table(store: LocalFeatureStore) -> None:
    write_spine(store.warehouse.root, [(1, day("2020-01-01"), 1)])
    with pytest.raises(NoFeatureTable, match=r"declares no key\n.*dbt build --select labels"):
        store.table("gold.labels")
    with pytest.raises(TableNotFound, match="dbt build --select"):
        store.table("gold.label")


def test_a_vocabulary_has_each_category_at_its_integer(store: LocalFeatureStore) -> None:
    rows = pa.table({"job": ["b", "a"], "job_index": pa.array([3, 1], pa.int32())})
    write_deltalake(store.warehouse.root / "gold" / "job_index", rows)
    assert store.vocabulary("gold.job_index") == (("", "a", "", "b"), 0)


with GOLDEN.open(encoding="utf-8") as _file:
    CASES = list(csv.DictReader(_file))


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["case"]))
def test_point_in_time(store: LocalFeatureStore, case: dict[str, str]) -> None:
    known = [pair.split("=") for pair in case["features"].split()]
    write_features(store.warehouse.root, [(1, day(at), int(value)) for at, value in known])
    write_spine(store.warehouse.root, [(int(case["entity"]), day(case["at"]), 0)])
    lookback = int(case["lookback_days"]) if case["lookback_days"] else None
    ((_, _, found),) = looked_up(store, lookback)
    assert found == (int(case["expected"]) if case["expected"] else None)


def test_repeated_rows_of_the_spine_stay(store: LocalFeatureStore) -> None:
    write_features(store.warehouse.root, [(1, day("2020-01-01"), 7)])
    write_spine(store.warehouse.root, [(1, day("2020-01-02"), 0)] * 3)
    assert looked_up(store) == [(1, day("2020-01-02"), 7)] * 3


moments = st.integers(0, 6).map(lambda hours: day("2020-01-01") + timedelta(hours=hours))
entities = st.integers(1, 3)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    features=st.dictionaries(st.tuples(entities, moments), st.integers(0, 99), min_size=1, max_size=15),
    spine=st.lists(st.tuples(entities, moments), min_size=1, max_size=15),
)
def test_no_row_ever_sees_a_later_value(
    store: LocalFeatureStore, features: dict[tuple[int, datetime], int], spine: list[tuple[int, datetime]]
) -> None:
    """Held against the plainest implementation there is."""
    write_features(store.warehouse.root, [(entity, at, value) for (entity, at), value in features.items()])
    write_spine(store.warehouse.root, [(entity, at, 0) for entity, at in spine])

    def naive(entity: int, at: datetime) -> int | None:
        known = [(time, value) for (other, time), value in features.items() if other == entity and time <= at]
        return max(known)[1] if known else None

    expected = sorted(((entity, at, naive(entity, at)) for entity, at in spine), key=lambda row: (row[1], row[0]))
    assert looked_up(store) == expected


def test_pinned_versions_are_read_after_the_tables_changed(store: LocalFeatureStore) -> None:
    root = store.warehouse.root
    write_features(root, [(1, day("2020-01-01"), 5)])
    write_spine(root, [(1, day("2020-01-02"), 0)])
    lookup = FeatureLookup("gold.features", ("value",))
    frame, versions = store.training_frame(SPINE, [lookup])
    before = frame.toArrow()
    write_features(root, [(1, day("2020-01-01"), 6)])
    write_spine(root, [(1, day("2020-01-02"), 1), (2, day("2020-01-02"), 1)])
    again, _ = store.training_frame(SPINE, [lookup], versions)
    assert again.toArrow().equals(before)
    newest, moved = store.training_frame(SPINE, [lookup])
    assert (newest.count(), moved) == (2, {"gold.features": 2, "gold.labels": 1})


def test_a_column_that_is_not_there_names_the_nearest(store: LocalFeatureStore) -> None:
    write_features(store.warehouse.root, [(1, day("2020-01-01"), 5)])
    write_spine(store.warehouse.root, [(1, day("2020-01-02"), 0)])
    with pytest.raises(FeatureNotFound, match=r"gold\.features has no column .values.\. Did you mean .value."):
        store.training_frame(SPINE, [FeatureLookup("gold.features", ("values",))])
    with pytest.raises(FeatureNotFound, match=r"gold\.labels has no column .labels."):
        store.training_frame(Spine("gold.labels", ("entity",), "at", "labels"), [])
    with pytest.raises(FeatureNotFound, match=r"has no column .valu.\. Did you mean .value."):
        store.table("gold.features").select(["valu"])
