"""Key, time and group of the rows."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from lakehouse.tables.scan import quoted
from lakehouse.wording import number_of
from training.init.errors import InitRefused, ask
from training.init.proposing.profile import ColumnProfile, is_unique

NO_COLUMN = "none"
_ID = re.compile(
    r"(^|_)(id|ids|key|nr|kennung|uuid|guid|schluessel|\w*nummer|\w*nr|"
    r"(account|client|customer|item|kunden|member|order|patient|product|user)(id|_no|_num|_number|no))$"
)
_PARTY = re.compile(
    r"(^|_)(customer|client|patient|member|person|household|subject|kunde|kundin|mitglied|haushalt|proband)$"
)  # an identifier where it repeats
_TIME = re.compile(r"date|datum|time|zeit|_at$|_on$|_am$|created|updated|day|tag|month|monat|timestamp")
_BIRTH = re.compile(r"birth|geb|dob")
_NO_YEAR = 2200  # 9999-12-31 is the end of something that has none
_LEAST_TIMES = 10  # different times that folds in order of time need


@dataclass(frozen=True)
class RowIdentity:
    """Key, time and group of the rows.

    Attributes:
        key: columns of the entity; empty for the row number.
        time: column of the time; None if all rows share one.
        group: column whose rows stay on one side of each split; None if rows are independent.
        why: reason of each of them, by column; the row number has the key `row_number`.
    """

    key: tuple[str, ...]
    time: str | None
    group: str | None
    why: dict[str, str]


@dataclass(frozen=True)
class KeyOptions:
    """Columns that the person has named; `none` leaves a role out."""

    key: tuple[str, ...] = ()
    time: str | None = None
    group: str | None = None


def find_identity(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[ColumnProfile], target: str, options: KeyOptions
) -> RowIdentity:
    """Find key, time and group among the columns.

    Raises:
        InitRefused: the named key repeats or is missing, or several columns may be the time and there is no terminal.
    """
    inputs = [column for column in columns if column.name != target]
    time, why_time = _time(inputs, options.time)
    key, why_key = _key(connection, inputs, time, options)
    group, why_group = _group(connection, inputs, key, time, options)
    why = dict.fromkeys(key or ("row_number",), why_key)
    if time is not None:
        why[time] = why_time
    if group is not None:
        why[group] = why_group
    return RowIdentity(key, time, group, why)


def _time(columns: Sequence[ColumnProfile], named: str | None) -> tuple[str | None, str]:
    if named == NO_COLUMN:
        return None, ""
    by_name = {column.name: column for column in columns}
    if named is not None:
        column = by_name[named]
        if not column.is_time or column.missing:
            missing = f"{number_of('row', column.missing)} without a value"
            problem = missing if column.is_time else f"the type {column.column.kind}"
            raise InitRefused.file(
                f"the time {named}", f"has {problem}", "Name a date that every row has, or --time none."
            )
        return named, "--time"
    able = [
        column
        for column in columns
        if column.is_time
        and not column.missing
        and column.distinct >= _LEAST_TIMES
        and not _BIRTH.search(column.name)
        and column.maximum.year < _NO_YEAR
    ]
    if not able:
        return None, ""
    sorted_ones = [column for column in able if column.ascending >= 0.99]
    hinted = [column for column in able if _TIME.search(column.name)]
    if len(able) > 1:
        able = next((few for few in (sorted_ones, hinted) if len(few) == 1), able)
    if len(able) > 1:
        answers = {column.name: f"{column.minimum} to {column.maximum}" for column in able}
        chosen = ask(
            "several columns may be the time of a row", "--time", {**answers, NO_COLUMN: "rows have no time"}
        )
        return (None, "") if chosen == NO_COLUMN else (chosen, "chosen")
    column = able[0]
    order = ", rows in its order" if column.ascending >= 0.99 else ""
    return column.name, f"date in every row, {column.minimum} to {column.maximum}{order}"


def _key(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[ColumnProfile], time: str | None, options: KeyOptions
) -> tuple[tuple[str, ...], str]:
    if options.key == (NO_COLUMN,):
        return (), "row number, --key none"
    if options.key:
        with_time = [*options.key, *([time] if time else [])]
        if not is_unique(connection, with_time):
            raise InitRefused.file(
                f"the key {', '.join(with_time)}",
                "repeats or is missing in some rows",
                "Name all of its columns: --key a,b, or leave --key out.",
            )
        return options.key, "--key"
    able = [column for column in columns if column.column.kind in {"bigint", "string"} and not column.missing]
    hinted = [column for column in able if _ID.search(column.name)]
    for column in hinted:
        if column.is_unique:
            return (column.name,), "one value for each row, and named like an identifier"
    if options.group is None and time is not None:
        for column in hinted:
            if column.distinct > 1 and is_unique(connection, [column.name, time]):
                return (column.name,), f"one row for each {column.name} and {time}"
    first = next((column for column in able if column.is_unique), None)
    if first is not None and columns and first is columns[0]:
        return (first.name,), "first column, with one value for each row"
    return (), "no column has one value for each row"


def _group(
    connection: duckdb.DuckDBPyConnection,
    columns: Sequence[ColumnProfile],
    key: tuple[str, ...],
    time: str | None,
    options: KeyOptions,
) -> tuple[str | None, str]:
    if options.group == NO_COLUMN:
        return None, ""
    if options.group is not None:
        return options.group, "--group"
    if time is not None:
        return None, ""
    for column in columns:
        repeats = column.filled / max(column.distinct, 1)
        is_id = (_ID.search(column.name) or _PARTY.search(column.name)) and column.column.kind in {"bigint", "string"}
        if is_id and column.name not in key and not column.missing and repeats >= 1.2 and column.distinct >= 20:
            rows = connection.execute(f"select count(distinct {quoted(column.name)}) from rows").fetchone()
            return (
                column.name,
                f"{(rows or (0,))[0]:,} values, {repeats:.1f} rows each: kept on one side of each split",
            )
    return None, ""
