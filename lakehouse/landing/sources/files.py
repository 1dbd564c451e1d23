"""Parquet files, Delta tables and JSON lines as batches of rows."""

import re
from collections.abc import Collection, Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from lakehouse.landing.errors import LandingFileMissing
from lakehouse.landing.landing_file import matching_files
from lakehouse.landing.sources.errors import LandingSourceRefused
from lakehouse.landing.sources.nested import with_plain_texts

BATCH = 65_536  # rows
MEMORY = "1GB"  # of DuckDB while it reads JSON


def parquet(path: Path) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """A Parquet file, a folder of Parquet files, or a pattern.

    Raises:
        LandingFileMissing: there is no file.
        LandingSourceRefused: a file is not Parquet.
    """
    files = sorted(path.rglob("[!._]*.parquet")) if path.is_dir() else matching_files(path)
    if not files or not files[0].exists():
        raise LandingFileMissing.at(path)
    try:
        partitioning = "hive" if path.is_dir() else None
        rows = ds.dataset(files, format="parquet", partitioning=partitioning, partition_base_dir=str(path))
    except (pa.ArrowException, OSError) as err:
        raise _unreadable(f"the source {path}", err) from err
    return rows.schema, _rows_of(f"the source {path}", rows)


def delta(path: Path) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The newest version of a Delta table.

    Raises:
        LandingSourceRefused: the folder is no Delta table that delta-rs can read.
    """
    try:
        rows = DeltaTable(str(path)).to_pyarrow_dataset()
    except (DeltaError, OSError, ValueError) as err:
        raise LandingSourceRefused.unreadable(f"the Delta table {path}", err) from err
    return rows.schema, _rows_of(f"the Delta table {path}", rows)


def _rows_of(source: str, rows: ds.Dataset) -> Iterator[pa.RecordBatch]:
    """The rows in batches; a file may be broken behind its first rows, or be the second one.

    Raises:
        LandingSourceRefused: a file cannot be read.
    """
    try:
        yield from rows.to_batches(batch_size=BATCH)
    except (pa.ArrowException, OSError) as err:
        raise _unreadable(source, err) from err


def _unreadable(source: str, reason: Exception) -> LandingSourceRefused:
    """The refusal, with the file if it is one of several, and without the words that lead to Arrow's reason."""
    opened = re.search(r"Could not open Parquet input source '([^']*)': (.*)", str(reason), re.DOTALL)
    if opened is None:
        return LandingSourceRefused.unreadable(source, reason)
    file, words = opened.groups()
    return LandingSourceRefused.unreadable(source if file in source else f"{source}, file {file},", ValueError(words))


def json_lines(path: Path, whole: Collection[str] = ()) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """One JSON object a line, or an array of objects; types fit the values of every row.

    Args:
        path: file or pattern.
        whole: objects that stay one column; of others, each field is a column.

    Raises:
        LandingFileMissing: there is no file.
        LandingSourceRefused: a line is not JSON.
    """
    files = matching_files(path)
    if not files[0].is_file():
        raise LandingFileMissing.at(path)
    connection = duckdb.connect(config={"memory_limit": MEMORY, "threads": 2})
    connection.execute("set enable_progress_bar = false")
    try:
        rows = connection.read_json(
            [str(file) for file in files],
            sample_size=-1,
            maximum_object_size=64 * 2**20,
            map_inference_threshold=-1,
        )
        reader = with_plain_texts(rows, whole).to_arrow_reader(BATCH)
    except duckdb.Error as err:
        raise LandingSourceRefused.unreadable(f"the source {path}", err) from err
    return reader.schema, _batches(path, connection, reader)


def _batches(
    path: Path, connection: duckdb.DuckDBPyConnection, reader: pa.RecordBatchReader
) -> Iterator[pa.RecordBatch]:
    try:
        yield from reader
    except (duckdb.Error, pa.ArrowException, OSError) as err:
        raise LandingSourceRefused.unreadable(f"the source {path}", err) from err
    finally:
        connection.close()
