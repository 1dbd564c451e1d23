"""Point-in-time joins over several tables, keys and types, on real Delta tables and the embedded engine."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from lakehouse.errors import LakehouseError
from lakehouse.session import open_session
from lakehouse.tables.warehouse import TableNotFound, Warehouse
from training.feature_store.errors import DuplicateKey, FeatureNotFound, StaleTable
from training.feature_store.local import LocalFeatureStore
from training.feature_store.tables import FeatureLookup, Spine

SPINE = Spine("gold.labels", ("client",), "at", "label")
TIME = pa.timestamp("us", "UTC")
TYPES = {"at": TIME, "known_at": TIME, "arrived_at": TIME, "label": pa.int32(), "country": pa.string()}


@pytest.fixture
def store(tmp_path: Path) -> LocalFeatureStore:
    return LocalFeatureStore(open_session, Warehouse(tmp_path))


def day(number: int) -> datetime:
    return datetime(2020, 1, number, tzinfo=UTC)


def write(
    store: LocalFeatureStore,
    table: str,
    columns: str,
    rows: Sequence[tuple[Any, ...]],
    *,
    keys: Sequence[str] = (),
    arrival: str | None = None,
    freshness: str | None = None,
    types: Mapping[str, pa.DataType] | None = None,
) -> None:
    """Write a gold table; with `keys` it is a feature table, whose other columns are features.

    `arrival` names the column of the time at which a row became known; `known_at` is then the time it was true.
    """
    names = columns.split()
    schema = pa.schema([(name, (TYPES | dict(types or {})).get(name, pa.int64())) for name in names])
    location = store.warehouse.root / "gold" / table
    write_deltalake(location, pa.table([list(column) for column in zip(*rows, strict=True)], schema=schema))
    if keys:
        features = [name for name in names if name not in {*keys, "known_at", arrival}]
        published = {
            "feature_table.primary_keys": json.dumps(list(keys)),
            "feature_table.timestamp_column": "known_at",
            **({"feature_table.known_at_column": arrival} if arrival else {}),
            **({"feature_table.freshness": freshness} if freshness else {}),
            "feature_table.description": "",
            "feature_table.features": json.dumps({f: {"data_type": "bigint", "description": ""} for f in features}),
        }
        DeltaTable(location).alter.set_table_properties(published, raise_if_not_exists=False)


def joined(store: LocalFeatureStore, *lookups: FeatureLookup, spine: Spine = SPINE) -> list[dict[str, Any]]:
    frame, _ = store.training_frame(spine, lookups)
    rows: list[dict[str, Any]] = frame.to_arrow().to_pylist()
    return rows


def test_join_uses_the_newest_row_even_if_its_value_is_null(store: LocalFeatureStore) -> None:
    write(store, "labels", "client at label", [(1, day(5), 1), (2, day(5), 0)])
    rows = [(1, day(1), 10, 1), (1, day(3), None, 2), (2, day(1), 10, 1), (2, day(3), None, None)]
    write(store, "orders", "client known_at sum count", rows, keys=["client"])
    found = joined(store, FeatureLookup("gold.orders", ("sum", "count")))
    assert [(row["sum"], row["count"]) for row in found] == [(None, 2), (None, None)]


def test_each_table_is_looked_up_at_its_own_time_and_age(store: LocalFeatureStore) -> None:
    write(store, "labels", "client at label", [(1, day(9), 1), (2, day(9), 0), (1, day(2), 0)])
    write(store, "orders", "client known_at sum", [(1, day(1), 10), (1, day(8), 20), (2, day(1), 5)], keys=["client"])
    write(store, "visits", "client known_at visits", [(1, day(3), 7), (2, day(9), 8)], keys=["client"])
    found = joined(store, FeatureLookup("gold.orders", ("sum",), 3), FeatureLookup("gold.visits", ("visits",)))
    assert [tuple(row.values()) for row in found] == [
        (1, day(2), 0, 10, None),
        (1, day(9), 1, 20, 7),
        (2, day(9), 0, None, 8),
    ]


def test_key_missing_from_the_spine_is_named(store: LocalFeatureStore) -> None:
    write(store, "labels", "client at label", [(1, day(5), 1)])
    write(store, "countries", "country known_at rate", [("de", day(1), 3)], keys=["country"])
    with pytest.raises(FeatureNotFound, match=r"the spine gold\.labels has no column 'country'\. Known: client\."):
        joined(store, FeatureLookup("gold.countries", ("rate",)))


def test_a_row_of_the_spine_without_a_key_stays_and_finds_nothing(store: LocalFeatureStore) -> None:
    write(store, "labels", "client at label", [(None, day(5), 1), (1, day(5), 0)])
    write(store, "orders", "client known_at sum", [(1, day(1), 10)], keys=["client"])
    found = joined(store, FeatureLookup("gold.orders", ("sum",)))
    assert sorted((str(row["client"]), row["sum"]) for row in found) == [("1", 10), ("None", None)]


def test_a_row_of_the_spine_without_a_time_stays_and_finds_nothing(store: LocalFeatureStore) -> None:
    write(store, "labels", "client at label", [(1, None, 1), (1, day(5), 0)])
    write(store, "orders", "client known_at sum", [(1, day(1), 10), (1, None, 20)], keys=["client"])
    found = joined(store, FeatureLookup("gold.orders", ("sum",)))
    assert [(row["at"], row["sum"]) for row in found] == [(None, None), (day(5), 10)]


@pytest.mark.parametrize(
    ("kind", "time"),
    [(pa.date32(), date(2020, 1, 5)), (pa.timestamp("us"), datetime(2020, 1, 5)), (TIME, day(5))],  # noqa: DTZ001
)
@pytest.mark.parametrize("lookback", [None, 2])
def test_a_spine_of_dates_or_of_local_times_means_utc(
    store: LocalFeatureStore, kind: pa.DataType, time: Any, lookback: int | None
) -> None:
    write(store, "labels", "client at label", [(1, time, 1)], types={"at": kind})
    late = day(5) + timedelta(seconds=1)
    write(store, "orders", "client known_at sum", [(1, day(4), 10), (1, late, 20)], keys=["client"])
    found = joined(store, FeatureLookup("gold.orders", ("sum",), lookback))
    assert [(row["at"], row["sum"]) for row in found] == [(time, 10)]


def test_the_spine_may_use_the_timestamp_name_of_a_feature_table(store: LocalFeatureStore) -> None:
    write(store, "labels", "client known_at label", [(1, day(5), 1)])
    write(store, "orders", "client known_at sum", [(1, day(1), 10)], keys=["client"])
    spine = Spine("gold.labels", ("client",), "known_at", "label")
    assert joined(store, FeatureLookup("gold.orders", ("sum",)), spine=spine) == [
        {"client": 1, "known_at": day(5), "label": 1, "sum": 10}
    ]


def test_text_numbers_booleans_and_dates_are_unchanged(store: LocalFeatureStore) -> None:
    values = ['it\'s \\ "ß"', 1.5, True, date(2020, 1, 1)]
    write(store, "labels", "client at label", [(1, day(5), 1)])
    types = {"text": pa.string(), "number": pa.float64(), "truth": pa.bool_(), "day": pa.date32()}
    rows = [(1, day(1), *values)]
    write(store, "orders", "client known_at text number truth day", rows, keys=["client"], types=types)
    (found,) = joined(store, FeatureLookup("gold.orders", tuple(types)))
    assert [found[name] for name in types] == values


def test_some_versions_may_be_pinned_and_the_rest_are_the_newest(store: LocalFeatureStore) -> None:
    write(store, "labels", "client at label", [(1, day(5), 1)])
    write(store, "orders", "client known_at sum", [(1, day(1), 10)], keys=["client"])
    location = store.warehouse.root / "gold" / "orders"
    changed = DeltaTable(location).to_pyarrow_table().set_column(2, "sum", pa.array([11]))
    write_deltalake(location, changed, mode="overwrite")
    lookup = FeatureLookup("gold.orders", ("sum",))
    read = [store.training_frame(SPINE, [lookup], pinned) for pinned in ({"gold.orders": 1}, {"gold.labels": 0})]
    assert [frame.to_arrow()["sum"].to_pylist() for frame, _ in read] == [[10], [11]]
    assert [versions for _, versions in read] == [
        {"gold.labels": 0, "gold.orders": 1},
        {"gold.labels": 0, "gold.orders": 2},
    ]


def test_a_spine_that_was_not_built_is_named(store: LocalFeatureStore) -> None:
    with pytest.raises(TableNotFound, match=r"gold\.labels is not in the warehouse.*\n.*dbt build --select \+labels"):
        joined(store)


def test_a_vocabulary_is_read_at_a_version(store: LocalFeatureStore) -> None:
    types = {"place": pa.string(), "place_index": pa.int32()}
    write(store, "place_index", "place place_index", [("Bonn", 1)], types=types)
    more = pa.table({"place": ["Aachen"], "place_index": pa.array([2], pa.int32())})
    write_deltalake(store.warehouse.root / "gold" / "place_index", more, mode="append")
    assert store.vocabulary("gold.place_index") == (("", "Bonn", "Aachen"), 1)
    assert store.vocabulary("gold.place_index", 0) == (("", "Bonn"), 0)


def test_an_empty_index_has_no_category(store: LocalFeatureStore) -> None:
    types = {"place": pa.string(), "place_index": pa.int32()}
    write(store, "place_index", "place place_index", [("Bonn", 1)], types=types)
    DeltaTable(store.warehouse.root / "gold" / "place_index").delete()
    assert store.vocabulary("gold.place_index") == (("",), 1)


def test_a_table_that_is_older_than_declared_is_named_with_its_age(store: LocalFeatureStore) -> None:
    two_days = json.dumps({"warn_after": None, "error_after": {"count": 2, "period": "day"}})
    rows = [(1, day(1), 10), (2, day(5), 20)]
    write(store, "orders", "client known_at sum", rows, keys=["client"], freshness=two_days)
    write(store, "visits", "client known_at sum", rows, keys=["client"])
    table = store.table("gold.orders")
    assert (table.newest, table.max_age) == (day(5), timedelta(days=2))
    table.require_fresh(day(7))
    store.table("gold.visits").require_fresh(day(31))
    with pytest.raises(StaleTable, match=r"gold\.orders ends at 2020-01-05 00:00 UTC.*\n.*--select \+orders"):
        table.require_fresh(day(7) + timedelta(seconds=1))


def test_a_table_without_a_row_is_stale(store: LocalFeatureStore) -> None:
    an_hour = json.dumps({"error_after": {"count": 1, "period": "hour"}})
    write(store, "orders", "client known_at sum", [(1, day(1), 1)], keys=["client"], freshness=an_hour)
    DeltaTable(store.warehouse.root / "gold" / "orders").delete()
    with pytest.raises(StaleTable, match="has no rows"):
        store.table("gold.orders").require_fresh(day(1))


@pytest.fixture(params=["America/New_York", "Pacific/Kiritimati"])
def far_from_utc(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process in another time zone."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("far_from_utc")
def test_times_are_in_utc_whatever_the_time_zone_of_the_process(store: LocalFeatureStore) -> None:
    newest, two_days = datetime(2020, 1, 5, 0, 0, 0, 1, tzinfo=UTC), '{"error_after": {"count": 2, "period": "day"}}'
    write(store, "orders", "client known_at sum", [(1, newest, 1)], keys=["client"], freshness=two_days)
    assert store.table("gold.orders").newest == newest
    write(store, "doubled", "client known_at sum", [(1, day(5), 1), (1, day(5), 2)], keys=["client"])
    write(store, "labels", "client at label", [(1, day(5), 1)])
    with pytest.raises(DuplicateKey, match=r"client 1, known_at 2020-01-05 00:00:00\)"):
        joined(store, FeatureLookup("gold.doubled", ("sum",)))


def test_a_spine_whose_first_write_was_interrupted_is_missing(store: LocalFeatureStore) -> None:
    (store.warehouse.root / "gold" / "labels" / "_delta_log").mkdir(parents=True)
    with pytest.raises(TableNotFound, match=r"dbt build --select \+labels"):
        joined(store)


@pytest.mark.parametrize("table", ["gold.labels", "gold.orders"])
def test_missing_pinned_version_is_named_in_the_error(store: LocalFeatureStore, table: str) -> None:
    write(store, "labels", "client at label", [(1, day(5), 1)])
    write(store, "orders", "client known_at sum", [(1, day(1), 10)], keys=["client"])
    with pytest.raises(LakehouseError, match=f"{table}.*version 99"):
        store.training_frame(SPINE, [FeatureLookup("gold.orders", ("sum",))], {table: 99})


@pytest.mark.parametrize("feature", ["sum", "label"])
def test_duplicate_column_name_is_refused(store: LocalFeatureStore, feature: str) -> None:
    write(store, "labels", "client at label", [(1, day(5), 1)])
    write(store, "orders", "client known_at sum", [(1, day(1), 10)], keys=["client"])
    write(store, "visits", f"client known_at {feature}", [(1, day(1), 7)], keys=["client"])
    lookups = FeatureLookup("gold.orders", ("sum",)), FeatureLookup("gold.visits", (feature,))
    with pytest.raises(LakehouseError, match=rf"{feature}.*gold\.visits|gold\.visits.*{feature}"):
        joined(store, *lookups)


def test_a_column_of_one_number_and_nan_keeps_its_nan(store: LocalFeatureStore) -> None:
    write(store, "labels", "client at label", [(1, day(5), 1), (2, day(5), 0)])
    rows = [(1, day(1), float("nan")), (2, day(1), 1.0)]
    write(store, "orders", "client known_at sum", rows, keys=["client"], types={"sum": pa.float64()})
    found = [row["sum"] for row in joined(store, FeatureLookup("gold.orders", ("sum",)))]
    assert [str(value) for value in found] == ["nan", "1.0"]
