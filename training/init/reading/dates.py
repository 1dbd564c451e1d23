"""Patterns of dates in columns of text: the order of day, month and year, years of two digits, names of months."""

from collections.abc import Mapping
from datetime import UTC, datetime

import duckdb

from lakehouse.landing.months import NAMES
from lakehouse.landing.options import DATE_PIECES
from training.init.reading.habits import DateOrder

CLOCK = r"(?: (\d{1,2}):(\d\d)(?::(\d\d))?)?"
DATE = r"(\d{1,4})([./-])(\d{1,2})[./-](\d{1,4})" + CLOCK
_MONTH = "|".join(name for names in NAMES for name in names)
NAMED_MONTH = rf"(?i)(\d{{1,2}})(\. |[ ./-])({_MONTH})(\. |[ ./-])(\d{{4}}|\d{{2}})"
SHORT_YEAR_NOTE = "years of two digits are 1969 to 2068"
_POSITIONS: Mapping[DateOrder, tuple[str, str, str]] = {"dmy": ("y3", "y2", "y1"), "mdy": ("y3", "y1", "y2"),
                                                        "ymd": ("y1", "y2", "y3")}  # fmt: skip
_GROUPS: Mapping[DateOrder, tuple[int, int, int]] = {"dmy": (1, 3, 4), "mdy": (3, 1, 4), "ymd": (4, 3, 1)}
_DATE_WORDS = ("date", "datum", "day", "tag", "time", "zeit", "_at", "_on", "_am")

# Words of a date pattern as DuckDB has them.
_CODES = {"yyyy": "%Y", "yy": "%y", "MMM": "%b", "MM": "%m", "M": "%m", "dd": "%d", "d": "%d", "HH": "%H", "H": "%H",
          "mm": "%M", "ss": "%S"}  # fmt: skip


def _strptime_pattern(pattern: str) -> str:
    """A date pattern in the letters of DuckDB.

    >>> _strptime_pattern("dd-MMM-yy")
    '%d-%b-%y'
    """
    return DATE_PIECES.sub(lambda piece: _CODES.get(piece[0], piece[0]), pattern)


def fitting_orders(connection: duckdb.DuckDBPyConnection, column: str, values: str) -> tuple[DateOrder, ...]:
    """The orders that every date of the column fits.

    A year of two digits is only looked for at the front if it fits nowhere else: 13.05.23 would nearly always fit.

    Args:
        connection: DuckDB.
        column: name of the column.
        values: query whose only column `v` has the dates.
    """
    parts = ", ".join(
        f"regexp_extract(v, '{DATE}', {g}) as t{i}, try_cast(regexp_extract(v, '{DATE}', {g}) as int) as y{i}"
        for i, g in ((1, 1), (2, 3), (3, 4))
    )
    fits = ", ".join(
        f"bool_and({m} between 1 and 12 and {d} between 1 and 31 and {y} between 1000 and 9999) as {order}, "
        f"bool_and({m} between 1 and 12 and {d} between 1 and 31 and length({y.replace('y', 't')}) = 2 "
        f"and length(t1) <= 2 and length(t3) <= 2) as short_{order}, "
        f"bool_and(length(t1) = 2 and length(t2) = 2) as full_{order}"
        for order, (y, m, d) in _POSITIONS.items()
    )
    row = connection.execute(f"select {fits} from (select {parts} from ({values}))").fetchone() or ()
    if long := tuple(order for order, fit in zip(_POSITIONS, row[::3], strict=True) if fit):
        return long
    # 1.10.12 may be a version as well.
    if not row[2] and not any(word in column for word in _DATE_WORDS):
        return ()
    short = [order for order, fit in zip(_POSITIONS, row[1::3], strict=True) if fit]
    return tuple(order for order in short if order != "ymd") or tuple(short)


def date_pattern(connection: duckdb.DuckDBPyConnection, values: str, order: DateOrder) -> str | None:
    """Pattern of the dates in Spark's letters; None if they have several.

    Args:
        connection: DuckDB.
        values: query whose only column `v` has the dates.
        order: the order that all of them fit.
    """
    day, month, year = (f"min(length(regexp_extract(v, '{DATE}', {group})))" for group in _GROUPS[order])
    row = connection.execute(
        f"select count(*), min(regexp_extract(v, '{DATE}', 2)), count(distinct regexp_extract(v, '{DATE}', 2)), "
        f"{day}, {month}, {year}, count(*) filter (regexp_extract(v, '{DATE}', 5) <> ''), "
        f"count(*) filter (regexp_extract(v, '{DATE}', 7) <> ''), "
        f"min(length(nullif(regexp_extract(v, '{DATE}', 5), ''))) from ({values})"
    ).fetchone()
    n, separator, separators, days, months, years, hours, seconds, hour = row or (0, "", 0, 0, 0, 0, 0, 0, 0)
    if separators != 1 or hours not in {0, n} or seconds not in {0, hours}:
        return None
    words: dict[str, str] = {
        "d": "d" if days == 1 else "dd",
        "m": "M" if months == 1 else "MM",
        "y": "yy" if years == 2 else "yyyy",
    }
    pattern: str = str(separator).join(words[letter] for letter in order)
    return pattern + (f" {'H' if hour == 1 else 'HH'}:mm" + (":ss" if seconds else "") if hours else "")


def named_month_pattern(connection: duckdb.DuckDBPyConnection, values: str) -> str | None:
    """Pattern of dates such as 03-Mar-24 in Spark's letters; None if they have several."""
    day, before, behind, year = (f"regexp_extract(v, '{NAMED_MONTH}', {group})" for group in (1, 2, 4, 5))
    behind = f"replace({behind}, '. ', ' ')"  # of a short name; `Mai` has no point
    row = connection.execute(
        f"select min({before}), count(distinct {before}), min({behind}), count(distinct {behind}), "
        f"min(length({day})), min(length({year})), max(length({year})) from ({values})"
    ).fetchone()
    first, firsts, second, seconds, days, shortest, longest = row or ("", 0, "", 0, 0, 0, 0)
    if firsts != 1 or seconds != 1 or shortest != longest:
        return None
    return f"{'d' if days == 1 else 'dd'}{first}MMM{second}{'yy' if shortest == 2 else 'yyyy'}"


def parsed(value: str, pattern: str) -> str:
    """SQL of DuckDB for the date of a text; NULL where it is none.

    Args:
        value: SQL of the text.
        pattern: pattern in Spark's letters. A month has its name in English or German, with a point or without.
    """
    if "MMM" in pattern:
        for names in NAMES:
            value = f"regexp_replace({value}, '(?i)({'|'.join(names)})', '{names[0][:3].title()}')"
        value = f"regexp_replace({value}, '([A-Za-z])[.] ', '\\1 ')"
    return f"try_strptime({value}, '{_strptime_pattern(pattern)}')"


def latest_year(pattern: str) -> int:
    """Year after which dates of a pattern are doubtful: a year of two digits may be of the last century."""
    has_short_year = "yy" in pattern and "yyyy" not in pattern
    return datetime.now(UTC).year + 1 if has_short_year else 9999
