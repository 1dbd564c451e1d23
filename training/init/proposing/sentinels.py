"""Values that often stand for a missing one: 999 above all other numbers, -1 below, 9999-12-31."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import duckdb

from lakehouse.tables.scan import quoted
from lakehouse.wording import number_of
from training.init.proposing.profile import ColumnProfile

_HIGH = {99, 999, 9999, 99999, 999999, 9999999, 99999999}
_LOW = {-1, -9, -99, -999, -9999, -99999}
_DATES = {date(9999, 12, 31), date(2999, 12, 31), date(2099, 12, 31), date(1900, 1, 1), date(1, 1, 1)}
_LEAST_SHARE = 0.001  # of the rows with a value
_APART = 0.25  # least distance to the other values, as a share of their range


def sentinel_notes(connection: duckdb.DuckDBPyConnection, columns: Sequence[ColumnProfile]) -> list[str]:
    """A sentence for each value that may stand for a missing one, with the option that says so."""
    return [
        f"{column.name} is {value} in {number_of('row', rows)}{elsewhere}: if that means a missing value, "
        f"--missing {column.name}={value}"
        for column in columns
        for value, rows, elsewhere in _sentinels(connection, column)
    ]


def _sentinels(connection: duckdb.DuckDBPyConnection, column: ColumnProfile) -> Iterator[tuple[int | date, int, str]]:
    """Value, its rows, and what the other values are."""
    if column.is_time:
        for value in (column.minimum, column.maximum):
            day = value.date() if hasattr(value, "date") else value
            if day in _DATES and (rows := _rows(connection, column, value)) > 1:
                yield day, rows, ""
        return
    if not column.is_number or column.distinct < 5:
        return
    for value, candidates in ((column.maximum, _HIGH), (column.minimum, _LOW)):
        if value in candidates and (rows := _rows(connection, column, value)) >= max(2, _LEAST_SHARE * column.filled):
            least, most = _others(connection, column, value)
            below_zero = value < 0 <= least
            if below_zero or min(abs(value - least), abs(value - most)) > _APART * max(most - least, 1):
                yield int(value), rows, f" and from {least:g} to {most:g} elsewhere"


def _rows(connection: duckdb.DuckDBPyConnection, column: ColumnProfile, value: Any) -> int:
    found = connection.execute(f"select count(*) from rows where {quoted(column.name)} = ?", [value]).fetchone()
    return int(found[0]) if found else 0


def _others(connection: duckdb.DuckDBPyConnection, column: ColumnProfile, value: Any) -> tuple[float, float]:
    name = quoted(column.name)
    found = connection.execute(f"select min({name}), max({name}) from rows where {name} <> ?", [value]).fetchone()
    least, most = found or (0, 0)
    return float(least), float(most)
