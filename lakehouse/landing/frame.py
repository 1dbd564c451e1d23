"""Rows of a landing file or source as a frame of the engine."""

import atexit
import shutil
from collections.abc import Iterable
from pathlib import Path
from tempfile import mkdtemp

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

LARGEST_MESSAGE = 64 * 2**20  # bytes; Spark Connect's client sends at most 128 MiB, rows and plan together


def streamed_frame(session: SparkSession, schema: pa.Schema, parts: Iterable[pa.Table]) -> DataFrame:
    """Rows as a frame, of which memory holds one part and at most a message at a time.

    Rows that are too many for a message reach the engine as a temporary Parquet file. The file stays until this
    process ends, because the engine reads it when a table is made from the frame.
    """
    file, size = _temporary_file(), 0
    with pq.ParquetWriter(file, schema) as writer:
        for part in parts:
            size += part.nbytes
            writer.write_table(part)
    if size <= LARGEST_MESSAGE:
        return session.createDataFrame(pq.read_table(file))
    return session.read.parquet(str(file))


def _temporary_file() -> Path:
    folder = mkdtemp(prefix="landing-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder) / "rows.parquet"
