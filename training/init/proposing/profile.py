"""Profile of each column: missing values, distinct values, range, frequent values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from lakehouse.tables.scan import quoted
from training.init.reading.given import GivenColumn, GivenTable

MOST_LISTED = 50  # values of a column that are listed with their rows
_EXACT = 10_000  # distinct values up to which the estimate is replaced by a count


@dataclass(frozen=True)
class ColumnProfile:
    """Figures of one column.

    Attributes:
        rows: rows of the table.
        filled: rows with a value.
        distinct: different values; an estimate between 10,000 and 80 % of the filled rows.
        minimum, maximum: of numbers, dates and times.
        length: mean length of texts.
        values: every value with its rows, the most frequent first; empty if there are more than 50.
        ascending: share of the rows that are not below the row before them, for dates and times.
    """

    column: GivenColumn
    rows: int
    filled: int
    distinct: int
    minimum: Any = None
    maximum: Any = None
    length: float = 0.0
    values: tuple[tuple[Any, int], ...] = ()
    ascending: float = 0.0

    @property
    def name(self) -> str:
        """Name of the column."""
        return self.column.name

    @property
    def missing(self) -> int:
        """Rows without a value."""
        return self.rows - self.filled

    @property
    def is_unique(self) -> bool:
        """True if every row has a value of its own."""
        return 0 < self.rows == self.filled == self.distinct

    @property
    def counts_rows(self) -> bool:
        """True for integers of which each row has one of its own, with few between them."""
        if not self.is_unique or self.column.kind != "bigint":
            return False
        return int(self.maximum) - int(self.minimum) + 1 <= 2 * self.rows

    @property
    def is_number(self) -> bool:
        """True for integers and doubles."""
        return self.column.kind in {"bigint", "double"}

    @property
    def is_time(self) -> bool:
        """True for dates and times."""
        return self.column.kind in {"date", "timestamp"}


def profiles(table: GivenTable) -> list[ColumnProfile]:
    """Profile every column; the rows are read a few times, and never all in memory."""
    connection, rows = table.connection, table.rows
    figures = _figures(connection, table.columns)
    return [_profile(connection, column, rows, found) for column, found in zip(table.columns, figures, strict=True)]


def _figures(connection: duckdb.DuckDBPyConnection, columns: Sequence[GivenColumn]) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    for start in range(0, len(columns), 50):
        block = columns[start : start + 50]
        query = ", ".join(", ".join(_aggregates(column)) for column in block)
        row = connection.execute(f"select {query} from rows").fetchone() or ()
        found += [tuple(row[position : position + 5]) for position in range(0, len(row), 5)]
    return found


def _aggregates(column: GivenColumn) -> list[str]:
    name = quoted(column.name)
    is_text = column.kind == "string"
    return [
        f"count({name})",
        f"approx_count_distinct({name})",
        "null" if is_text else f"min({name})",
        "null" if is_text else f"max({name})",
        f"avg(length({name}))" if is_text else "null",
    ]


def _profile(
    connection: duckdb.DuckDBPyConnection, column: GivenColumn, rows: int, figures: tuple[Any, ...]
) -> ColumnProfile:
    filled, distinct, minimum, maximum, length = figures
    name = quoted(column.name)
    if distinct <= _EXACT or distinct >= 0.8 * filled:
        distinct = _one(connection, f"select count(distinct {name}) from rows")
    values: list[tuple[Any, int]] = []
    if 0 < distinct <= MOST_LISTED:
        values = connection.execute(
            f"select {name}, count(*) from rows where {name} is not null group by 1 order by 2 desc, 1"
        ).fetchall()
    ascending = 0.0
    if column.kind in {"date", "timestamp"} and filled:
        query = f"select avg(cast({name} >= before as int)) from (select {name}, lag({name}) over (order by row_number) as before from rows)"  # noqa: E501
        ascending = float(_one(connection, query) or 0)
    return ColumnProfile(column, rows, filled, distinct, minimum, maximum, length or 0.0, tuple(values), ascending)


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> Any:
    row = connection.execute(query).fetchone()
    return row[0] if row else None


def is_unique(connection: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> bool:
    """Return True if no two rows have the same values in all of the columns, and none is missing."""
    names = [quoted(column) for column in columns]
    missing = " or ".join(f"{name} is null" for name in names)
    if _one(connection, f"select count(*) from rows where {missing}"):
        return False
    repeated = f"select 1 from rows group by {', '.join(names)} having count(*) > 1 limit 1"
    return connection.execute(repeated).fetchone() is None
