"""Values of chosen rows: equal to those that the whole table has there, however the passes and batches divide it."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from lakehouse.tables import gathering, scan
from lakehouse.tables.gathering import gather
from lakehouse.tables.number_columns import number_array
from lakehouse.tables.scan import FileScan, MemoryScan, RowsUnreadable, Scan, open_duckdb

ROWS = 97
NUMBERS = list(range(ROWS))
TABLE = pa.table(
    {
        "whole": pa.array([None if each % 5 == 4 else each for each in NUMBERS], pa.int32()),
        "flag": pa.array([each % 2 for each in NUMBERS], pa.int32()),
        "real": pa.array([float("nan") if each % 7 == 3 else each / 7 for each in NUMBERS]),
        "text": pa.array([None if each % 11 == 3 else f"text {each}" for each in NUMBERS]),
        "amount": pa.array([Decimal(each) / 100 for each in NUMBERS], pa.decimal128(12, 2)),
        "born": pa.array([date(2000, 1, 1 + each % 28) for each in NUMBERS]),
        "at": pa.array([datetime(2024, 1, 1, each % 24, tzinfo=UTC) for each in NUMBERS], pa.timestamp("us", "UTC")),
    }
)
PLACES = {
    "every row once": np.random.default_rng(1).permutation(ROWS),
    "some rows often, and none": np.random.default_rng(2).integers(-20, ROWS, 400),
    "no row at all": np.full(5, -1),
    "nothing asked": np.empty(0, dtype=np.int64),
}


@pytest.fixture
def in_files(tmp_path: Path) -> FileScan:
    """The table in five files."""
    for first in range(0, ROWS, 20):
        write_deltalake(tmp_path / "t", TABLE.slice(first, 20), mode="append")
    with open_duckdb() as connection:
        found = FileScan.of(connection, DeltaTable(tmp_path / "t"))
    assert found is not None
    assert len(found.files) == 5
    return found


@pytest.mark.parametrize("rows_of_a_batch", [7, 250_000])
@pytest.mark.parametrize(("bytes_of_a_pass", "bytes_of_whole"), [(1, 0), (2**29, 0), (1, ROWS * 8 * 2), (1, 2**28)])
def test_gathered_values_are_those_of_the_table(
    in_files: FileScan,
    monkeypatch: pytest.MonkeyPatch,
    rows_of_a_batch: int,
    bytes_of_a_pass: int,
    bytes_of_whole: int,
) -> None:
    monkeypatch.setattr(scan, "_BATCH", rows_of_a_batch)
    monkeypatch.setattr(gathering, "_AT_ONCE", bytes_of_a_pass)
    monkeypatch.setattr(gathering, "_WHOLE", bytes_of_whole)
    with open_duckdb() as connection:
        in_order = in_files.batches(connection, TABLE.column_names).read_all()  # the newest file is the first
        in_memory = MemoryScan(in_order, in_files.schema)
        for places in PLACES.values():
            expected = in_order.take(pa.array(places, mask=places < 0))
            every: tuple[Scan, ...] = (in_files, in_memory)
            for rows in every:
                found = dict(gather(rows, connection, TABLE.column_names, places))
                assert list(found) == TABLE.column_names
                assert pa.table(found).schema == expected.schema
                for name, values in found.items():  # texts of values, because NaN equals nothing
                    assert repr(values.to_pylist()) == repr(expected[name].to_pylist()), name
        assert in_order["amount"].to_pylist() != TABLE["amount"].to_pylist()
        ordered = in_order.sort_by("amount").drop_columns("real")
        assert ordered.to_pylist() == TABLE.drop_columns("real").to_pylist()


def test_rows_in_another_order_than_their_numbers_are_refused(in_files: FileScan) -> None:
    """A reader that mixed up files would give features to other customers."""
    mixed_up = replace(in_files, lengths=in_files.lengths[::-1])
    with open_duckdb() as connection, pytest.raises(RowsUnreadable, match="were read in another order"):
        mixed_up.batches(connection, ["whole"]).read_all()


def test_integers_keep_their_width_and_flags_take_a_byte() -> None:
    widths = {
        "int8": pa.array([0, 1, 1], pa.int32()),
        "int32": pa.array([0, 1, 2], pa.int32()),
        "int16": pa.array([-1, 0, 1], pa.int16()),
        "uint8": pa.array([0, 1], pa.uint8()),
        "float64": pa.array([0, 1, None], pa.int32()),
    }
    assert {name: str(number_array(values).dtype) for name, values in widths.items()} == {
        name: name for name in widths
    }
    assert number_array(widths["int8"]).tolist() == [0, 1, 1]
