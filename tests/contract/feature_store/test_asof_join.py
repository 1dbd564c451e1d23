"""The join by DuckDB against the window of the engine, on snapshots and keys of every kind."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, TableFeatures, write_deltalake

from lakehouse.process_memory import machine_memory
from lakehouse.session import open_session
from lakehouse.tables import repeated_keys
from lakehouse.tables.scan import FileScan, RowsUnreadable, open_duckdb
from lakehouse.tables.warehouse import Warehouse
from tests.contract.feature_store.test_homes import TIME, day
from training.feature_store.errors import DuplicateKey
from training.feature_store.joined_rows import JoinedRows
from training.feature_store.local import LocalFeatureStore
from training.feature_store.tables import FeatureLookup, Spine

SPINE = Spine("gold.labels", ("client", "place"), "at", "label")
VALUES = FeatureLookup("gold.features", ("value", "number", "text", "truth", "amount", "born"))
NAN, NEGATIVE = float("nan"), -0.0


@pytest.fixture
def store(tmp_path: Path) -> LocalFeatureStore:
    return LocalFeatureStore(open_session, Warehouse(tmp_path))


def spine_rows(clients: pa.Array, places: list[str | None]) -> pa.Table:
    """Every client in every place at every half day of the first three."""
    rows = [(client, place, day(half / 2 + 1)) for client in clients for place in places for half in range(6)]
    draw = Random(3)  # noqa: S311  (an order, no secret)
    draw.shuffle(rows)
    columns = list(zip(*rows, strict=True))
    return pa.table(
        {
            "client": pa.array([client.as_py() for client in columns[0]], clients.type),
            "place": pa.array(columns[1], pa.string()),
            "at": pa.array(columns[2], TIME),
            "label": pa.array([draw.randint(0, 1) for _ in rows], pa.int32()),
        }
    )


def feature_rows(clients: pa.Array, places: list[str | None], days: list[float]) -> pa.Table:
    rows = [(client, place, day(each)) for client in clients for place in places for each in days]
    number = list(range(len(rows)))
    columns = list(zip(*rows, strict=True))
    return pa.table(
        {
            "client": pa.array([client.as_py() for client in columns[0]], clients.type),
            "place": pa.array(columns[1], pa.string()),
            "known_at": pa.array(columns[2], TIME),
            "value": pa.array([None if each % 5 == 4 else each % 100 for each in number], pa.int8()),
            "number": pa.array([NAN if each % 3 == 2 else each / 7 for each in number]),
            "text": pa.array([f"it's \\ {each}" for each in number]),
            "truth": pa.array([each % 2 == 0 for each in number]),
            "amount": pa.array([Decimal(each) / 100 for each in number], pa.decimal128(12, 2)),
            "born": pa.array([each.date() for each in columns[2]], pa.date32()),
        }
    )


def write(store: LocalFeatureStore, features: pa.Table, labels: pa.Table, **options: Any) -> DeltaTable:
    root = store.warehouse.root / "gold"
    write_deltalake(root / "labels", labels, mode="overwrite", schema_mode="overwrite")
    write_deltalake(root / "features", features, mode="overwrite", schema_mode="overwrite", **options)
    declare(root / "features")
    return DeltaTable(root / "features")


def declare(location: Path) -> None:
    described = {name: {"data_type": "", "description": ""} for name in VALUES.features}
    published = {
        "feature_table.primary_keys": '["client", "place"]',
        "feature_table.timestamp_column": "known_at",
        "feature_table.description": "",
        "feature_table.features": json.dumps(described),
    }
    DeltaTable(location).alter.set_table_properties(published, raise_if_not_exists=False)


def frame(store: LocalFeatureStore, lookup: FeatureLookup = VALUES) -> pa.Table:
    """The rows of the join here, which the engine joins alike."""
    rows, _ = store.training_frame(SPINE, [lookup])
    by_window, _ = LocalFeatureStore(open_session, store.warehouse, True).training_frame(SPINE, [lookup])
    found, expected = rows.to_arrow(), by_window.to_arrow()
    assert found.schema.types == expected.schema.types
    assert found.column_names == expected.column_names
    assert list(map(str, found.to_pylist())) == list(map(str, expected.to_pylist()))  # NaN is no NaN
    return found


KEYS = {
    "booleans": pa.array([True, False, None]),
    "bytes": pa.array([1, -1, None], pa.int8()),
    "integers beyond 2^53": pa.array([2**53, 2**53 + 1, None], pa.int64()),
    "doubles": pa.array([0.0, 1.5, NAN, None]),
    "texts": pa.array(["a", "A", "ä", "", " a", None]),
    "binaries": pa.array([b"\x00", b"a", b"\xff", None]),
    "decimals": pa.array([Decimal("1.50"), Decimal("-1.50"), None], pa.decimal128(38, 2)),
    "dates": pa.array([day(1).date(), day(2).date(), None], pa.date32()),
    "times": pa.array([day(1), day(1) + timedelta(microseconds=1), None], TIME),
    "times without a zone": pa.array([day(1).replace(tzinfo=None), None], pa.timestamp("us")),
    "lists": pa.array([[1], [1, 2], []], pa.list_(pa.int64())),
}


@pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS)
def test_keys_of_every_type_find_what_the_window_finds(store: LocalFeatureStore, keys: pa.Array) -> None:
    places = ["x", None]
    write(store, feature_rows(keys, places, [1, 2.25, 9]), spine_rows(keys, places))
    for days in (None, 1):
        found = frame(store, FeatureLookup("gold.features", VALUES.features, days))
        assert found.num_rows == len(keys) * 2 * 6
        without_key = found.filter(pc.or_(found["client"].is_null(), found["place"].is_null()))
        assert without_key["text"].null_count == without_key.num_rows
        assert found["text"].null_count < found.num_rows


@pytest.mark.parametrize("width", [pa.float64(), pa.float32()], ids=str)
def test_a_zero_finds_a_negative_zero_as_the_window_does(store: LocalFeatureStore, width: pa.DataType) -> None:
    write(store, feature_rows(pa.array([NEGATIVE], width), ["x"], [1]), spine_rows(pa.array([0.0], width), ["x"]))
    found = frame(store)
    assert found["text"].null_count < found.num_rows


def test_rows_of_a_zero_and_a_negative_zero_are_duplicates(store: LocalFeatureStore) -> None:
    write(store, feature_rows(pa.array([NEGATIVE, 0.0]), ["x"], [1]), spine_rows(pa.array([0.0]), ["x"]))
    for join in (store, LocalFeatureStore(open_session, store.warehouse, True)):
        with pytest.raises(DuplicateKey, match="2 rows"):
            len(join.training_frame(SPINE, [VALUES])[0])


CLIENTS = pa.array(range(9))


def partitioned(store: LocalFeatureStore) -> DeltaTable:
    rows = feature_rows(CLIENTS, ["x", "y/ß=%"], [1, 2.25])
    return write(store, rows, spine_rows(CLIENTS, ["x", "y/ß=%"]), partition_by=["place"])


def with_deletion_vectors(store: LocalFeatureStore) -> DeltaTable:
    table = write(store, feature_rows(CLIENTS, ["x"], [1, 2.25]), spine_rows(CLIENTS, ["x"]))
    table.alter.add_feature(TableFeatures.DeletionVectors, allow_protocol_versions_increase=True)
    return DeltaTable(table.table_uri)


def with_lists(store: LocalFeatureStore) -> DeltaTable:
    rows = feature_rows(CLIENTS, ["x"], [1, 2.25])
    lists = pa.array([[each] for each in range(len(rows))])
    return write(store, rows.append_column("history", lists), spine_rows(CLIENTS, ["x"]))


def empty(store: LocalFeatureStore) -> DeltaTable:
    write(store, feature_rows(CLIENTS, ["x"], [1]), spine_rows(CLIENTS, ["x"])).delete()
    return DeltaTable(store.warehouse.root / "gold" / "features")


@pytest.mark.parametrize("snapshot", [partitioned, with_deletion_vectors, with_lists, empty])
def test_snapshots_whose_files_are_not_the_rows_are_read_by_the_engine(
    store: LocalFeatureStore, snapshot: Callable[[LocalFeatureStore], DeltaTable]
) -> None:
    log = snapshot(store)
    with open_duckdb() as connection:
        assert FileScan.of(connection, log) is None
    found = frame(store)
    assert (found["text"].null_count == found.num_rows) == (snapshot is empty)


def test_mapped_columns_are_not_read_by_their_names_in_the_files(store: LocalFeatureStore) -> None:
    table = write(store, feature_rows(CLIENTS, ["x"], [1]), spine_rows(CLIENTS, ["x"]))
    for log in Path(table.table_uri.removeprefix("file://"), "_delta_log").glob("*.json"):
        text = log.read_text(encoding="utf-8")
        log.write_text(text.replace('"configuration":{', '"configuration":{"delta.columnMapping.mode":"name",'))
    with open_duckdb() as connection:
        assert FileScan.of(connection, DeltaTable(table.table_uri)) is None


def test_many_files_with_columns_of_their_own_are_one_table(store: LocalFeatureStore) -> None:
    """Files of before a column was added, in another order of columns, and rows that a merge moved."""
    root = store.warehouse.root / "gold"
    places: list[str | None] = ["x", "y"]
    parts = [feature_rows(CLIENTS.slice(first, 1), places, [1, 2.25, 2.5]) for first in range(9)]
    write(store, parts[0].drop_columns(["truth", "born"]), spine_rows(CLIENTS, places))
    for part in parts[1:]:
        columns = part.column_names[::-1]
        write_deltalake(root / "features", part.select(columns), mode="append", schema_mode="merge")
    DeltaTable(root / "features").delete("place = 'y' and client = 3")
    declare(root / "features")
    with open_duckdb() as connection:
        scan = FileScan.of(connection, DeltaTable(root / "features"))
        assert scan is not None
        assert (len(scan.files), scan.rows) == (9, 9 * 6 - 3)
    found = frame(store)
    assert found["born"].null_count == found["truth"].null_count == 2 * 6 + 6
    few = FeatureLookup("gold.features", ("born", "value"))
    assert frame(store, few).column_names[-2:] == ["born", "value"]


def test_a_spine_of_few_entities_finds_the_same(store: LocalFeatureStore) -> None:
    days = [1 + each / 97 for each in range(97)]
    write(
        store, feature_rows(pa.array(range(30)), ["x", None], days), spine_rows(pa.array([4, 77, None]), ["x", None])
    )
    assert frame(store)["text"].null_count < 36


def test_rows_left_out_stay_out_of_every_column(store: LocalFeatureStore) -> None:
    write(store, feature_rows(CLIENTS, ["x"], [1]), spine_rows(pa.array(range(12)), ["x"]))
    rows, _ = store.training_frame(SPINE, [VALUES])
    table = rows.to_arrow()
    kept = np.asarray(table["text"].is_valid())
    left: JoinedRows = rows.where(kept)
    assert len(left) == 9 * 6
    assert list(map(str, left.to_arrow().to_pylist())) == list(map(str, table.filter(pa.array(kept)).to_pylist()))


def test_a_frame_of_the_engine_has_the_same_rows(store: LocalFeatureStore) -> None:
    write(store, feature_rows(CLIENTS, ["x"], [1, 2.25]), spine_rows(CLIENTS, ["x"]))
    rows, _ = store.training_frame(SPINE, [VALUES])
    of_engine = rows.to_spark().orderBy(*SPINE.order).toArrow()
    assert list(map(str, of_engine.to_pylist())) == list(map(str, rows.to_arrow().to_pylist()))


def test_a_connection_prints_nothing_downloads_nothing_and_has_a_limit() -> None:
    names = ("enable_progress_bar", "autoinstall_known_extensions", "TimeZone", "memory_limit")
    with open_duckdb() as connection:
        progress, installs, zone, limit = (
            connection.sql(f"SELECT current_setting('{name}')").fetchall()[0][0] for name in names
        )
    assert (progress, installs, zone) == (False, False, "UTC")
    assert limit.endswith("GiB")
    assert float(limit.split()[0]) <= max(machine_memory() / 8, 2**30) / 2**30 + 0.1


def test_no_engine_starts_for_a_frame(store: LocalFeatureStore) -> None:
    write(store, feature_rows(CLIENTS, ["x"], [1]), spine_rows(CLIENTS, ["x"]))
    without: Mapping[str, Any] = {"open_session": lambda: pytest.fail("the engine was started")}
    rows, _ = LocalFeatureStore(**without, warehouse=store.warehouse).training_frame(SPINE, [VALUES])
    assert len(rows) == 54


WITHOUT_PANDAS = """
import sys
from pathlib import Path
from lakehouse.session import open_session
from lakehouse.tables.warehouse import Warehouse
from training.feature_store.local import LocalFeatureStore
from training.feature_store.tables import FeatureLookup, Spine

store = LocalFeatureStore(open_session, Warehouse(Path(sys.argv[1])))
rows, _ = store.training_frame(Spine("gold.labels", ("client", "place"), "at", "label"), [
    FeatureLookup("gold.features", ("value", "number", "text"))
])
rows.write(Path(sys.argv[1]) / "rows.parquet")
print(len(rows), {"pandas", "pysail"} & set(sys.modules))
"""


def test_a_join_imports_no_pandas(store: LocalFeatureStore) -> None:
    # Its import takes longer than a join of a million rows.
    write(store, feature_rows(CLIENTS, ["x"], [1, 2.25]), spine_rows(CLIENTS, ["x"]))
    command = [sys.executable, "-c", WITHOUT_PANDAS, str(store.warehouse.root)]
    joined = subprocess.run(command, capture_output=True, text=True, check=True)
    assert joined.stdout.strip() == "54 set()"


@pytest.mark.parametrize("at_once", [2**26, 5])
def test_the_first_duplicate_is_named_however_many_rows_are_hashed_at_once(
    store: LocalFeatureStore, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(repeated_keys, "_AT_ONCE", at_once)
    rows = feature_rows(CLIENTS, ["x"], [1, 2.5])
    write(store, rows, spine_rows(CLIENTS, ["x"]))
    assert frame(store).num_rows == 54
    doubled = pa.concat_tables([rows, rows.slice(7, 1), rows.slice(7, 1)])
    write(store, doubled, spine_rows(CLIENTS, ["x"]))
    told = r"gold\.features has 3 rows .*\(client 3, place x, known_at 2020-01-02 12:00:00\)"
    with pytest.raises(DuplicateKey, match=told):
        store.training_frame(SPINE, [VALUES])


def test_rows_without_a_key_are_duplicates_too(store: LocalFeatureStore) -> None:
    rows = feature_rows(pa.array([None, None], pa.int64()), ["x"], [1])
    write(store, rows, spine_rows(CLIENTS, ["x"]))
    with pytest.raises(DuplicateKey, match=r"2 rows .*\(client None, place x, "):
        store.training_frame(SPINE, [VALUES])


def test_files_that_are_gone_are_named(store: LocalFeatureStore) -> None:
    table = write(store, feature_rows(CLIENTS, ["x"], [1]), spine_rows(CLIENTS, ["x"]))
    (file,) = table.file_uris()
    Path(file).unlink()
    with pytest.raises(RowsUnreadable, match=r"cannot be read: IO Error: No files found .*\n.*read a newer one"):
        store.training_frame(SPINE, [VALUES])
