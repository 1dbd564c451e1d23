"""Deliveries of Parquet files: loaded once and in order, or refused by file and column."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from lakehouse.landing.deliveries import deliveries, new_rows, require_columns, require_order
from lakehouse.landing.errors import LandingFileMissing, LandingFileRefused
from lakehouse.session import new_session

COLUMNS = {"id": "bigint", "at": "date", "known_at": "timestamp"}
SCHEMA = pa.schema({"id": pa.int64(), "at": pa.date32(), "known_at": pa.timestamp("us", tz="UTC")})


def delivered(folder: Path, name: str, *days: int, schema: pa.Schema = SCHEMA) -> Path:
    known = [datetime(2024, 5, day, tzinfo=UTC) for day in days]
    rows = {"id": list(days), "at": [time.date() for time in known], "known_at": known}
    values = {field.name: pa.array(rows[field.name]).cast(field.type) for field in schema}
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(values, schema=schema), folder / name)
    return folder / name


def test_files_that_differ_in_the_last_five_digits_are_one_delivery(tmp_path: Path) -> None:
    files = [
        delivered(tmp_path, name, 1)
        for name in ("a-b-00001.parquet", "a-b-00002.parquet", "a-c-2024-05-01.parquet", "a-c-2024-05-02.parquet")
    ]
    delivered(tmp_path, ".e-1.parquet.unfinished", 1)
    assert deliveries(tmp_path) == {"a-b": files[:2], "a-c-2024-05-01": files[2:3], "a-c-2024-05-02": files[3:]}


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LandingFileMissing, match=r"parquet does not exist"):
        deliveries(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (pa.schema([SCHEMA.field("id"), SCHEMA.field("known_at")]), "at is missing"),
        (SCHEMA.set(0, pa.field("id", pa.string())), "id is string instead of bigint"),
        (
            SCHEMA.set(2, pa.field("known_at", pa.timestamp("ns"))),
            r"known_at is timestamp\[ns\] instead of timestamp",
        ),
    ],
)
def test_columns_that_differ_from_the_declaration_are_refused(
    tmp_path: Path, schema: pa.Schema, message: str
) -> None:
    with pytest.raises(LandingFileRefused, match=message):
        require_columns(delivered(tmp_path, "a-00001.parquet", 1, schema=schema), COLUMNS)


def test_an_undeclared_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LandingFileRefused, match="at is not declared"):
        require_columns(delivered(tmp_path, "a-00001.parquet", 1), {"id": "bigint", "known_at": "timestamp"})


def test_a_file_that_is_not_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a-00001.parquet").write_bytes(b"half a file")
    with pytest.raises(LandingFileRefused, match="cannot be read"):
        require_columns(tmp_path / "a-00001.parquet", COLUMNS)


class Run:
    """A model over a landing folder; each call is one run, which appends its rows."""

    def __init__(self, folder: Path, beside: "Run | None" = None, **landing: Any) -> None:
        self.session: SparkSession = beside.session if beside else new_session()
        self.name = folder.name
        self.landing = {"path": str(folder), "columns": COLUMNS, **landing}
        self.appended: list[Any] = []

    def __call__(self, **loaded_first: "Run") -> list[int]:
        tables = {sibling: self.session.table(run.name) for sibling, run in loaded_first.items()}
        rows = new_rows(self.session, self.landing, self.name if self.appended else None, **tables).toArrow()
        self.appended.append(rows)
        self.session.createDataFrame(pa.concat_tables(self.appended)).createOrReplaceTempView(self.name)
        return sorted(rows["id"].to_pylist())


def test_each_delivery_is_loaded_once(tmp_path: Path) -> None:
    run = Run(tmp_path)
    delivered(tmp_path, "a-00001.parquet", 1, 2)
    delivered(tmp_path, "a-00002.parquet", 3)
    assert run() == [1, 2, 3]
    assert run() == []
    delivered(tmp_path, "b-00001.parquet", 4, 5)
    assert run() == [4, 5]
    assert set(run.appended[-1]["delivery"].to_pylist()) == {"b"}


def test_a_file_of_an_already_loaded_delivery_is_refused(tmp_path: Path) -> None:
    run = Run(tmp_path)
    first = delivered(tmp_path, "a-00001.parquet", 1, 2)
    assert run() == [1, 2]
    second = delivered(tmp_path, "a-00002.parquet", 3)
    with pytest.raises(LandingFileRefused, match=r"delivery a .* has 3 rows, but had 2 when it was loaded"):
        run()
    second.unlink()
    assert run() == []
    delivered(tmp_path, "b-00001.parquet", 4)
    first.unlink()  # what was loaded may be put away
    assert run() == [4]


def test_a_delivery_that_a_sibling_folder_lacks_is_refused(tmp_path: Path) -> None:
    run = Run(tmp_path / "orders", together=["customers"])
    delivered(tmp_path / "customers", "a-00001.parquet", 1)
    delivered(tmp_path / "orders", "a-00001.parquet", 1)
    assert run() == [1]
    delivered(tmp_path / "orders", "b-00001.parquet", 2)
    with pytest.raises(LandingFileRefused, match=r"arrived without its counterpart: .*customers has no delivery b"):
        run()
    delivered(tmp_path / "customers", "b-00001.parquet")
    assert run() == [2]


def test_a_delivery_that_lands_during_a_run_waits_for_the_next_one(tmp_path: Path) -> None:
    customers = Run(tmp_path / "customers")
    orders = Run(tmp_path / "orders", customers, together=["customers"])
    delivered(tmp_path / "customers", "a-00001.parquet", 1)
    delivered(tmp_path / "orders", "a-00001.parquet", 1)
    assert customers() == [1]
    for folder in ("customers", "orders"):
        delivered(tmp_path / folder, "b-00001.parquet", 2)
    assert orders(customers=customers) == [1]
    assert customers() == [2]
    assert orders(customers=customers) == [2]


def test_a_delivery_waits_for_no_rows_that_the_sibling_lacks(tmp_path: Path) -> None:
    customers = Run(tmp_path / "customers")
    delivered(tmp_path / "customers", "a-00001.parquet", 1)
    delivered(tmp_path / "customers", "b-00001.parquet")
    delivered(tmp_path / "orders", "a-00001.parquet", 1)
    delivered(tmp_path / "orders", "b-00001.parquet", 2)
    assert customers() == [1]
    assert Run(tmp_path / "orders", customers, together=["customers"])(customers=customers) == [1, 2]


def test_rows_that_a_later_table_has_overtaken_are_refused(tmp_path: Path) -> None:
    """Orders of the 5th were checked against the customers known then, so a customer of the 5th is too late."""
    customers = Run(tmp_path / "customers", before=["orders", "contacts"])
    orders = Run(tmp_path / "orders", customers)
    delivered(tmp_path / "customers", "a-00001.parquet", 1)
    delivered(tmp_path / "orders", "a-00001.parquet", 5)
    assert customers() == [1]
    assert orders() == [5]
    late = delivered(tmp_path / "customers", "b-00001.parquet", 5, 7)
    with pytest.raises(
        LandingFileRefused, match=r"known at 2024-05-05 .*, but all rows of orders known until 2024-05-05"
    ):
        customers()
    late.unlink()
    delivered(tmp_path / "customers", "c-00001.parquet", 6)
    delivered(tmp_path / "orders", "c-00001.parquet", 6)
    assert customers() == [6]
    assert orders() == [6]


def test_rows_older_than_the_loaded_ones_are_refused(tmp_path: Path) -> None:
    run = Run(tmp_path)
    delivered(tmp_path, "b-00001.parquet", 5)
    assert run() == [5]
    delivered(tmp_path, "a-00001.parquet", 4)
    with pytest.raises(LandingFileRefused, match=r"rows known at 2024-05-04 .* until 2024-05-05"):
        run()


def test_rows_known_in_the_future_are_refused(tmp_path: Path) -> None:
    file = delivered(tmp_path, "a-00001.parquet", 4, 6)
    require_order(file, {}, datetime(2024, 5, 6, tzinfo=UTC))
    with pytest.raises(
        LandingFileRefused, match=r"known at 2024-05-06 00:00:00 UTC, which is after now \(2024-05-05 23:59:59\)"
    ):
        require_order(file, {}, datetime(2024, 5, 5, 23, 59, 59, tzinfo=UTC))


def test_a_row_without_known_at_is_refused(tmp_path: Path) -> None:
    whole = pq.read_table(delivered(tmp_path, "a-00001.parquet", 4, 5))
    for known in ([datetime(2024, 5, 4, tzinfo=UTC), None], [None, None]):
        file = tmp_path / f"b-{len([time for time in known if time])}.parquet"
        pq.write_table(whole.set_column(2, SCHEMA.field(2), pa.array(known, SCHEMA.field(2).type)), file)
        with pytest.raises(LandingFileRefused, match=rf"has {known.count(None)} rows? without `known_at`"):
            require_order(file, {}, datetime(2024, 6, 1, tzinfo=UTC))


def test_the_order_is_checked_without_parquet_statistics(tmp_path: Path) -> None:
    whole = pq.read_table(delivered(tmp_path, "a-00001.parquet", 4, 6))
    pq.write_table(whole, tmp_path / "b-00001.parquet", write_statistics=False)
    may_5, june = datetime(2024, 5, 5, tzinfo=UTC), datetime(2024, 6, 1, tzinfo=UTC)
    require_order(tmp_path / "b-00001.parquet", {"loaded": datetime(2024, 5, 3, tzinfo=UTC)}, june)
    with pytest.raises(LandingFileRefused, match="are already loaded"):
        require_order(tmp_path / "b-00001.parquet", {"loaded": may_5}, june)
    with pytest.raises(LandingFileRefused, match="which is after now"):
        require_order(tmp_path / "b-00001.parquet", {}, may_5)
