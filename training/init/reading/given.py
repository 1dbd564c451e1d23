"""The given table: its typed rows in DuckDB, and how its landing model reads it again."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from lakehouse.landing.sources.declaration import SqlType


@dataclass(frozen=True)
class GivenColumn:
    """A column of the given table.

    Attributes:
        name: its name in SQL.
        source_name: its name in the file.
        kind: type of its values.
        is_text: True if the landing model has it as text.
        truth: words for true and false, where it is a boolean that lands as text.
        note: what was decided about its format.
        missing_words: words of a text file that were read as a missing value.
        missing_values: values that mean a missing one, as the person has said.
    """

    name: str
    source_name: str
    kind: SqlType
    is_text: bool = False
    truth: tuple[str, str] | None = None
    note: str = ""
    missing_words: tuple[str, ...] = ()
    missing_values: tuple[int | float | str | date, ...] = ()


@dataclass(frozen=True)
class GivenTable:
    """The given table, whose typed rows are the table `rows` of a DuckDB connection.

    Attributes:
        source: the path or address as given.
        landing: `meta.landing_file` or `meta.landing_source` of the landing model, without its path.
        is_delimited: True for `meta.landing_file`.
        copied: the file to copy into the landing folder; None if the source is read where it is.
        notes: what was decided, to be said aloud.
        unread: columns of the source that are not read, each with the reason.
    """

    source: str
    connection: duckdb.DuckDBPyConnection
    columns: tuple[GivenColumn, ...]
    landing: Mapping[str, Any]
    is_delimited: bool
    copied: Path | None
    notes: tuple[str, ...] = field(default=())
    unread: Mapping[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Number of rows."""
        found = self.connection.execute("select count(*) from rows").fetchone()
        return int(found[0]) if found else 0


def absolute(path: Path | str) -> Path:
    """The absolute path, without `..`; links are not followed, and a pattern stays one."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def without_password(given: str) -> str:
    """The address of a database as it may be printed; any other place as it is.

    >>> without_password("postgresql://shop:secret@host/shop"), without_password("data.csv")
    ('postgresql://shop:***@host/shop', 'data.csv')
    """
    return re.sub(r"(://[^:/@]*:)[^/]*@", r"\1***@", given)


def write_parts(file: Path, schema: pa.Schema, parts: Iterable[pa.Table]) -> None:
    """Write the rows of a table, part by part, into one Parquet file."""
    with pq.ParquetWriter(file, schema) as writer:
        for part in parts:
            writer.write_table(part.cast(schema), row_group_size=122_880)


def keep_rows(connection: duckdb.DuckDBPyConnection, workspace: Path, query: str) -> None:
    """Keep the result of a query as the table `rows`, in a file of the workspace."""
    file = workspace / "rows.parquet"
    connection.execute(f"copy ({query}) to '{file}' (format parquet)")
    connection.execute(f"create view rows as select * from read_parquet('{file}')")
