"""Rows of a table as a relation of DuckDB: files of a Delta snapshot that it reads itself, or rows in memory.

DuckDB downloads its own reader of Delta. Here deltalake lists the files of a snapshot, and DuckDB reads them. That is
right for plain snapshots only: their files have every row and every column as the table has them.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from tempfile import TemporaryDirectory
from typing import Protocol

import duckdb
import numpy as np
import pyarrow as pa
from deltalake import DeltaTable
from pyspark.sql.types import DataType, StructType

from lakehouse.arrays import Indices
from lakehouse.errors import LakehouseError, first_line
from lakehouse.process_memory import machine_memory

# What a reader must know and what leaves files as they are.
_PLAIN_FEATURES = {"timestampNtz", "v2Checkpoint", "vacuumProtocolCheck"}
_POSITION_COLUMNS = {"file_index", "file_row_number"}
_INTEGERS = {"tinyint": "TINYINT", "smallint": "SMALLINT", "int": "INTEGER", "bigint": "BIGINT"}
_OTHERS = {
    "boolean": "BOOLEAN",
    "float": "FLOAT",
    "double": "DOUBLE",
    "string": "VARCHAR",
    "binary": "BLOB",
    "date": "DATE",
}
_TIMES = {"timestamp": "TIMESTAMP WITH TIME ZONE", "timestamp_ntz": "TIMESTAMP"}
_STORED_TIMES = {*_TIMES.values(), "TIMESTAMP_NS", "TIMESTAMP_MS", "TIMESTAMP_S"}
_TYPES = _INTEGERS | _OTHERS | _TIMES
_BATCH = 250_000  # rows


class RowsUnreadable(LakehouseError):
    """Files of a table cannot be read, or memory or disk are full."""

    @classmethod
    def because(cls, reason: Exception) -> "RowsUnreadable":
        return cls(
            f"the rows of a table cannot be read: {first_line(reason)}",
            hint="Files of an old version may have been deleted: read a newer one. Or free memory and TMPDIR.",
        )

    @classmethod
    def in_another_order(cls, expected: int, found: Sequence[int]) -> "RowsUnreadable":
        return cls(
            f"the rows of a table were read in another order: those from place {expected:,} on begin at place"
            f" {found[0]:,} and end at {found[1]:,}",
            hint="Leave DuckDB's preserve_insertion_order on, and report this if it was.",
        )


class Scan(Protocol):
    """Rows of a table at one version, in an order that stays."""

    @property
    def schema(self) -> StructType: ...

    @property
    def rows(self) -> int: ...

    def relation(self, connection: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> str:
        """A query with these columns in the types of the table, and with `_position`, a number of the row."""
        ...

    def places(self, positions: Indices) -> Indices:
        """The place in the order of `batches` for each `_position`."""
        ...

    def batches(self, connection: duckdb.DuckDBPyConnection, names: Sequence[str]) -> pa.RecordBatchReader:
        """Columns of all rows in their order, a batch after the other.

        Raises:
            RowsUnreadable: the rows come in another order.
        """
        ...


@contextmanager
def open_duckdb() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection in UTC that downloads nothing, and beyond an eighth of the memory works on disk.

    Raises:
        RowsUnreadable: a query failed.
    """
    with TemporaryDirectory(prefix="duckdb-") as folder:
        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{max(machine_memory() // 8, 2**30)}B",
            "temp_directory": folder,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        with duckdb.connect(config=settings) as connection:
            connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
            try:
                yield connection
            except duckdb.Error as err:
                raise RowsUnreadable.because(err) from err


def quoted(name: str) -> str:
    """A name of DuckDB's SQL.

    >>> quoted('my "own"')
    '"my ""own\"""'
    """
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def duckdb_type(data_type: DataType) -> str | None:
    """The type of DuckDB with the same values; None for nested types."""
    name = data_type.simpleString()
    return name.upper() if name.startswith("decimal(") else _TYPES.get(name)


@dataclass(frozen=True)
class FileScan:
    """Files of a plain Delta snapshot.

    Attributes:
        files: paths, in the order in which rows are numbered.
        stored: type of DuckDB of each column in the files.
        lengths: number of rows of each file.
    """

    files: tuple[str, ...]
    schema: StructType
    stored: Mapping[str, str]
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, connection: duckdb.DuckDBPyConnection, log: DeltaTable) -> "FileScan | None":
        """The files of a snapshot; None if they do not have every row and every column as the table has them.

        That is so with partitions, deletion vectors, mapped or retyped columns, nested types, or without any file.
        """
        schema, metadata = delta_schema(log), log.metadata()
        files = tuple(uri.removeprefix("file://") for uri in log.file_uris())
        plain = (
            files
            and not metadata.partition_columns
            and set(log.protocol().reader_features or ()) <= _PLAIN_FEATURES
            and metadata.configuration.get("delta.columnMapping.mode", "none") == "none"
            and not any(character in file for file in files for character in "*?[%")
            and not _POSITION_COLUMNS & {name.lower() for name in schema.names}
        )
        if not plain:
            return None
        described = connection.execute(f"DESCRIBE SELECT * FROM {_read(files)}").fetchall()
        stored = {name: kind for name, kind, *_ in described}
        other_case = {name.lower() for name in stored} & {name.lower() for name in schema.names if name not in stored}
        if other_case or not all(_readable(each.dataType, stored.get(each.name)) for each in schema.fields):
            return None
        counted = connection.execute(f"SELECT file_name, num_rows FROM parquet_file_metadata({_list(files)})")
        lengths = dict(counted.fetchall())
        return cls(files, schema, stored, tuple(lengths[file] for file in files))

    @cached_property
    def rows(self) -> int:
        return sum(self.lengths)

    def relation(self, connection: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> str:
        del connection  # the files are read by name
        selected = [f"{self._column(name)} AS {quoted(name)}" for name in columns]
        position = "(file_index::BIGINT << 32) | file_row_number AS _position"
        return f"SELECT {', '.join([*selected, position])} FROM {_read(self.files)}"

    def places(self, positions: Indices) -> Indices:
        begins = np.cumsum([0, *self.lengths[:-1]])
        return np.asarray(begins[positions >> 32] + (positions & 0xFFFFFFFF))

    def batches(self, connection: duckdb.DuckDBPyConnection, names: Sequence[str]) -> pa.RecordBatchReader:
        read = connection.sql(self.relation(connection, names)).to_arrow_reader(_BATCH)
        schema = pa.schema(list(read.schema)[:-1])
        return pa.RecordBatchReader.from_batches(schema, self._in_order(read, schema))

    def _in_order(self, read: pa.RecordBatchReader, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        begin = 0
        for batch in read:
            if not len(batch):
                continue
            *columns, position = batch.columns
            ends = self.places(np.asarray([position[0].as_py(), position[-1].as_py()]))
            if ends.tolist() != [begin, begin + len(batch) - 1]:
                raise RowsUnreadable.in_another_order(begin, ends.tolist())
            yield pa.RecordBatch.from_arrays(columns, schema=schema)
            begin += len(batch)

    def _column(self, name: str) -> str:
        wanted = duckdb_type(self.schema[name].dataType)
        found = self.stored.get(name)
        if found is None:  # a column that no file has yet
            return f"NULL::{wanted}"
        return quoted(name) if found == wanted else f"{quoted(name)}::{wanted}"


@dataclass(frozen=True)
class MemoryScan:
    """Rows in memory."""

    table: pa.Table
    schema: StructType

    @property
    def rows(self) -> int:
        return int(self.table.num_rows)

    def relation(self, connection: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> str:
        name = f"rows_{id(self)}"
        numbered = pa.array(np.arange(self.rows, dtype=np.int64))
        connection.register(name, self.table.select(list(columns)).append_column("_position", numbered))
        return f"SELECT * FROM {name}"

    def places(self, positions: Indices) -> Indices:
        return positions

    def batches(self, connection: duckdb.DuckDBPyConnection, names: Sequence[str]) -> pa.RecordBatchReader:
        del connection
        return self.table.select(list(names)).to_reader(_BATCH)


def delta_schema(log: DeltaTable) -> StructType:
    """The schema of a Delta table; Delta writes it as Spark does."""
    return StructType.fromJson(json.loads(log.schema().to_json()))


def _readable(data_type: DataType, stored: str | None) -> bool:
    wanted, name = duckdb_type(data_type), data_type.simpleString()
    if wanted is None or stored is None or stored == wanted:
        return wanted is not None
    return (name in _INTEGERS and stored in _INTEGERS.values()) or (name in _TIMES and stored in _STORED_TIMES)


def _read(files: Sequence[str]) -> str:
    return f"read_parquet({_list(files)}, union_by_name = true, hive_partitioning = false)"


def _list(files: Sequence[str]) -> str:
    escaped = (file.replace("'", "''") for file in files)
    return "[" + ", ".join(f"'{file}'" for file in escaped) + "]"
