"""Online tables: the newest row of each key, published atomically, on real tables and the embedded engine."""

import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from lakehouse.session import open_session
from lakehouse.tables.online_store import EntityRefused, OnlineStore, OnlineTableRefused
from lakehouse.tables.vacuum import plan_vacuum
from lakehouse.tables.warehouse import Warehouse
from tests.contract.feature_store.test_point_in_time import TIME, day, write
from training.feature_store.errors import DuplicateKey, NotAFeatureTable
from training.feature_store.local import ONLINE, LocalFeatureStore

NAME = "gold.orders"


@pytest.fixture
def store(tmp_path: Path) -> LocalFeatureStore:
    store = LocalFeatureStore(open_session, Warehouse(tmp_path))
    rows = [(1, day(1), 10, None), (1, day(3), 30, 3), (2, day(2), 20, None)]
    write(store, "orders", "client known_at sum count", rows, keys=["client"])
    return store


def online(store: LocalFeatureStore, *clients: int) -> list[tuple[datetime, dict[str, float | None]] | None]:
    with OnlineStore(store.warehouse.root / ONLINE) as tables:
        found = [tables.row(NAME, (client,)) for client in clients]
    return [(datetime.fromtimestamp(row.as_of / 1e6, UTC), dict(row.features)) if row else None for row in found]


def append(store: LocalFeatureStore, rows: list[tuple[Any, ...]], mode: Any = "append") -> None:
    names = ["client", "known_at", "sum", "count"]
    schema = pa.schema([(name, TIME if name == "known_at" else pa.int64()) for name in names])
    table = pa.table([list(column) for column in zip(*rows, strict=True)], schema=schema)
    write_deltalake(store.warehouse.root / "gold" / "orders", table, mode=mode)


def test_each_key_has_its_newest_row(store: LocalFeatureStore) -> None:
    published = store.publish(NAME)
    assert (published.version, published.features, published.rows) == (1, ("sum", "count"), 2)
    assert online(store, 1, 2, 3) == [
        (day(3), {"sum": 30, "count": 3}),
        (day(2), {"sum": 20, "count": None}),
        None,
    ]


def test_the_same_version_is_not_published_again(store: LocalFeatureStore) -> None:
    assert store.publish(NAME) == store.publish(NAME)


def test_appended_rows_are_added_and_older_ones_ignored(
    store: LocalFeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.publish(NAME)
    append(store, [(1, day(2), 99, 9), (2, day(5), 50, 5), (3, day(1), 1, 1)])
    read = counted_reads(monkeypatch)
    assert store.publish(NAME).rows == 3
    assert read == [3]  # of six
    assert [row and row[0] for row in online(store, 1, 2, 3)] == [day(3), day(5), day(1)]


@pytest.mark.parametrize(("retain", "rows_read"), [(timedelta(days=7), 3), (timedelta(0), 6)])
def test_a_compaction_publishes_no_row_again_unless_the_appended_file_is_gone(
    store: LocalFeatureStore, monkeypatch: pytest.MonkeyPatch, retain: timedelta, rows_read: int
) -> None:
    store.publish(NAME)
    append(store, [(1, day(2), 99, 9), (2, day(5), 50, 5), (3, day(1), 1, 1)])
    table = store.warehouse.root / "gold" / "orders"
    DeltaTable(table).optimize.compact()
    plan_vacuum(table, {}, retain, datetime.now(UTC)).execute()
    read = counted_reads(monkeypatch)
    assert store.publish(NAME).rows == 3
    assert [row and row[0] for row in online(store, 1, 2, 3)] == [day(3), day(5), day(1)]
    DeltaTable(table).optimize.compact(target_size=1)
    store.publish(NAME)
    assert read == [rows_read]


def counted_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Number of rows that each further publication reads."""
    read: list[int] = []
    newest_rows = LocalFeatureStore.publish.__globals__["newest_rows"]

    def counted(table: Any, rows: Any) -> Any:
        read.append(rows.count())
        return newest_rows(table, rows)

    monkeypatch.setitem(LocalFeatureStore.publish.__globals__, "newest_rows", counted)
    return read


def test_a_replaced_table_is_published_again(store: LocalFeatureStore) -> None:
    store.publish(NAME)
    append(store, [(2, day(1), 7, 7)], mode="overwrite")
    assert store.publish(NAME).rows == 1
    assert online(store, 1, 2) == [None, (day(1), {"sum": 7, "count": 7})]


def test_a_table_that_was_created_again_is_published_again(store: LocalFeatureStore) -> None:
    """Its versions start again, so the same number means other rows."""
    before = store.publish(NAME)
    shutil.rmtree(store.warehouse.root / "gold" / "orders")
    write(store, "orders", "client known_at sum count", [(2, day(1), 7, 7)], keys=["client"])
    after = store.publish(NAME)
    assert (after.version, after.rows) == (before.version, 1)
    assert online(store, 1, 2) == [None, (day(1), {"sum": 7, "count": 7})]


def test_partition_columns_are_published(store: LocalFeatureStore) -> None:
    location = store.warehouse.root / "gold" / "orders"
    properties, rows = DeltaTable(location).metadata().configuration, DeltaTable(location).to_pyarrow_table()
    write_deltalake(location, rows, mode="overwrite", partition_by=["client"], schema_mode="overwrite")
    DeltaTable(location).alter.set_table_properties(properties, raise_if_not_exists=False)
    store.publish(NAME)
    append(store, [(3, day(9), 9, 9)])
    assert store.publish(NAME).rows == 3
    assert online(store, 3) == [(day(9), {"sum": 9, "count": 9})]


def test_two_newest_rows_of_a_key_are_refused_and_change_nothing(store: LocalFeatureStore) -> None:
    store.publish(NAME)
    before = online(store, 1, 2)
    append(store, [(2, day(9), 1, 1), (2, day(9), 2, 2)])
    with pytest.raises(DuplicateKey, match=r"2 rows with the same key and timestamp \(client 2"):
        store.publish(NAME)
    assert online(store, 1, 2) == before


def test_of_two_rows_of_one_time_the_one_known_later_counts(store: LocalFeatureStore) -> None:
    columns = "client known_at arrived_at sum"
    write(store, "late", columns, [(1, day(3), day(5), 222)], keys=["client"], arrival="arrived_at")
    store.publish("gold.late")
    location = store.warehouse.root / "gold" / "late"
    earlier = pa.table([[1], [day(3)], [day(4)], [444]], schema=DeltaTable(location).to_pyarrow_table().schema)
    write_deltalake(location, earlier, mode="append")
    store.publish("gold.late")
    with OnlineStore(store.warehouse.root / ONLINE) as tables:
        row = tables.row("gold.late", (1,))
    assert row and dict(row.features) == {"sum": 222}


def test_tables_with_a_common_name_prefix_are_separate(store: LocalFeatureStore) -> None:
    write(store, "orders_by_web", "client known_at sum", [(1, day(1), 5)], keys=["client"])
    store.publish("gold.orders_by_web")
    store.publish(NAME)
    append(store, [(2, day(1), 7, 7)], mode="overwrite")
    store.publish(NAME)
    with OnlineStore(store.warehouse.root / ONLINE) as tables:
        row = tables.row("gold.orders_by_web", (1,))
    assert row and dict(row.features) == {"sum": 5}


LARGE = 2**53 + 1


def publish_keys(store: LocalFeatureStore, **keys: pa.Array) -> None:
    """Publish a table with these keys, whose feature is the number of the row."""
    rows = len(next(iter(keys.values())))
    columns = {**keys, "known_at": pa.array([day(1)] * rows, TIME), "sum": pa.array(range(rows), pa.int64())}
    write(store, "keyed", "client known_at sum", [(1, day(1), 0)], keys=list(keys))
    location = store.warehouse.root / "gold" / "keyed"
    properties = DeltaTable(location).metadata().configuration
    write_deltalake(location, pa.table(columns), mode="overwrite", schema_mode="overwrite")
    DeltaTable(location).alter.set_table_properties(properties, raise_if_not_exists=False)
    store.publish("gold.keyed")


def found(store: LocalFeatureStore, **entity: Any) -> float | None:
    with OnlineStore(store.warehouse.root / ONLINE) as tables:
        row = tables.row_of("gold.keyed", entity)
    return row.features["sum"] if row else None


@pytest.mark.parametrize(
    ("column", "requested"),
    [
        (pa.array([LARGE, LARGE + 1, LARGE + 2]), [LARGE, LARGE + 1, LARGE + 2]),
        (pa.array([LARGE, LARGE + 1], pa.decimal128(20, 0)), [LARGE, LARGE + 1]),
        (pa.array(["7", "07"]), ["7", "07"]),
        (pa.array([date(1, 1, 1), date(9999, 12, 31)]), ["0001-01-01", "9999-12-31"]),
        (pa.array([Decimal("7.10"), Decimal("7.11")], pa.decimal128(5, 2)), ["7.10", "7.11"]),
    ],
)
def test_a_key_of_any_type_finds_its_own_row(
    store: LocalFeatureStore, column: pa.Array, requested: list[Any]
) -> None:
    publish_keys(store, client=column)
    assert [found(store, client=key) for key in requested] == list(range(len(requested)))


def test_a_request_names_keys_in_any_order_and_may_name_more(store: LocalFeatureStore) -> None:
    publish_keys(store, country=pa.array(["DE", "AT"]), client=pa.array([1, 1]))
    assert (found(store, client=1, country="AT"), found(store, country="DE", client=1, shop=9)) == (1, 0)


@pytest.mark.parametrize(
    ("column", "requested", "expected"),
    [
        (pa.array([7]), "7", "an integer, as the key of gold.keyed"),
        (pa.array(["7"]), 7, "text, as the key of gold.keyed"),
    ],
)
def test_a_key_of_another_type_is_refused_instead_of_unknown(
    store: LocalFeatureStore, column: pa.Array, requested: Any, expected: str
) -> None:
    """As an unknown entity it would be predicted from the defaults."""
    publish_keys(store, client=column)
    with pytest.raises(EntityRefused, match="client: expected") as refused:
        found(store, client=requested)
    assert (refused.value.field, refused.value.expected) == ("client", expected)


@pytest.mark.parametrize("column", [pa.array([7.0]), pa.array([True]), pa.array([b"7"]), pa.array([{"id": 7}])])
def test_a_key_that_no_request_can_name_is_not_published(store: LocalFeatureStore, column: pa.Array) -> None:
    with pytest.raises(OnlineTableRefused, match=r"gold\.keyed has the key 'client' of type \w.*no request can name"):
        publish_keys(store, client=column)


def test_a_feature_beyond_the_integers_of_a_double_is_published(store: LocalFeatureStore) -> None:
    append(store, [(9, day(1), LARGE, None)])
    store.publish(NAME)
    assert online(store, 9) == [(day(1), {"sum": float(LARGE), "count": None})]


def test_a_table_of_an_earlier_release_is_published_again(store: LocalFeatureStore) -> None:
    """It was published without the types of its keys."""
    store.publish(NAME)
    with OnlineStore(store.warehouse.root / ONLINE) as tables:
        about = tables.published(NAME)
        assert about and about.keys == {"client": "integer"}
        with tables.publication(NAME, about.features, about.version, rebuild=False):
            pass
        assert tables.row_of(NAME, {"client": 1}) == tables.row(NAME, (1,))
    assert store.publish(NAME).keys == {"client": "integer"}


def test_an_unpublished_table_is_refused(store: LocalFeatureStore) -> None:
    with (
        OnlineStore(store.warehouse.root / ONLINE) as tables,
        pytest.raises(OnlineTableRefused, match=r"no online table\n.*training\.publish --online gold\.orders"),
    ):
        tables.row(NAME, (1,))
    write(store, "labels", "client at label", [(1, day(1), 1)])
    with pytest.raises(NotAFeatureTable):
        store.publish("gold.labels")


def test_a_key_that_is_too_long_aborts_the_publication(tmp_path: Path) -> None:
    with OnlineStore(tmp_path) as tables:
        rows = [(("a",), 1, np.zeros(1)), (("b" * 600,), 1, np.zeros(1))]
        with (
            pytest.raises(OnlineTableRefused, match="takes more than 511 bytes"),
            tables.publication("gold.t", ["f"], 1, rebuild=True) as publication,
        ):
            publication.put(rows)
        assert tables.published("gold.t") is None


KILLED = """
import os, signal, sys
import numpy as np
from pathlib import Path
from lakehouse.tables.online_store import OnlineStore
with OnlineStore(Path(sys.argv[1])).publication("gold.t", ["f"], 2, rebuild=True) as publication:
    publication.put(((key,), 2, np.full(1, 2.0)) for key in range(1_000))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_publication_keeps_the_previous_rows(tmp_path: Path) -> None:
    with OnlineStore(tmp_path) as tables, tables.publication("gold.t", ["f"], 1, rebuild=True) as publication:
        publication.put([((1,), 1, np.full(1, 1.0))])
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], env=dict(os.environ), check=False)
    assert killed.returncode == -signal.SIGKILL
    with OnlineStore(tmp_path) as tables:
        about, row = tables.published("gold.t"), tables.row("gold.t", (1,))
        assert about and (about.version, about.rows) == (1, 1)
        assert row and row.features == {"f": 1.0}
        assert tables.row("gold.t", (2,)) is None
