"""Formats of numbers, dates and missing values in columns of text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import duckdb

from lakehouse.landing.sources.declaration import SqlType
from lakehouse.tables.scan import quoted
from lakehouse.wording import number_of
from training.init.errors import InitRefused, ask
from training.init.reading.dates import (
    DATE,
    NAMED_MONTH,
    SHORT_YEAR_NOTE,
    date_pattern,
    fitting_orders,
    latest_year,
    named_month_pattern,
    parsed,
)
from training.init.reading.habits import DateOrder, Habits

# In a column of numbers or dates, each of these words is a missing value; in a column of texts only those of SURE.
MISSING = ("-", "--", "?", ".", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "k.a.", "k. a.", "unknown",
           "unbekannt", "missing", "fehlt")  # fmt: skip
SURE = ("-", "--", "?", "n/a", "#n/a", "nan", "null", "k.a.", "k. a.", "unknown", "unbekannt")
TRUTHS = (("yes", "no"), ("ja", "nein"), ("true", "false"), ("y", "n"), ("j", "n"), ("t", "f"), ("wahr", "falsch"))
_PLAIN = r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?"
_COMMA = r"[-+]?(\d{1,3}(\.\d{3})+|\d+)(,\d+)?([eE][-+]?\d+)?"
_GROUPED = r"[-+]?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?([eE][-+]?\d+)?"
ISO_DATE = r"\d{4}-\d{2}-\d{2}"
ISO_TIME = r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[-+]\d{2}:?\d{2})?"

_SIGN = "[$€£]|EUR|USD|CHF"


@dataclass(frozen=True)
class TextFormat:
    """Format of the values of one column.

    Attributes:
        kind: type of the values.
        decimal, thousands: characters of numbers that SQL cannot cast.
        date_format: pattern of dates that SQL cannot cast, in Spark's letters.
        truth: words for true and false.
        missing: words of this column that mean a missing value.
        note: what a person should know.
    """

    kind: SqlType
    decimal: str | None = None
    thousands: str | None = None
    date_format: str | None = None
    truth: tuple[str, str] | None = None
    missing: tuple[str, ...] = ()
    note: str = ""


@dataclass
class _Evidence:
    """Counts of one column; an ambiguous one is decided with the others of the file."""

    column: str
    counts: Mapping[str, int]
    missing: tuple[str, ...] = ()
    orders: tuple[DateOrder, ...] = field(default=())
    has_words: bool = False


def find_formats(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[str], habits: Habits
) -> dict[str, TextFormat]:
    """Formats of the text columns of the table `texts`.

    Args:
        connection: DuckDB with the table.
        columns: its columns.
        habits: what the person has said about the format, with columns of `words` named as in SQL.

    Raises:
        InitRefused: every date fits two orders, or every number two decimal characters, and there is no terminal.
    """
    found = {column: _evidence(connection, column, has_words=column in habits.words) for column in columns}
    decimal = habits.decimal or _decimal(found)
    order = habits.dates or _order(found)
    formats = {column: _format(connection, evidence, decimal, order) for column, evidence in found.items()}
    words = sorted({word for each in formats.values() if each.kind != "string" for word in each.missing})
    for column, each in formats.items():
        if each.kind == "string" and column not in habits.words:
            formats[column] = TextFormat(
                "string", truth=each.truth, missing=_sure(connection, column, words), note=each.note
            )
    return formats


def text_list(values: Sequence[str]) -> str:
    """Texts in SQL of DuckDB, between commas."""
    return ", ".join("'" + value.replace("'", "''") + "'" for value in values)


def _evidence(connection: duckdb.DuckDBPyConnection, column: str, *, has_words: bool) -> _Evidence:
    value = f"trim({quoted(column)})"
    patterns = {
        "plain": _PLAIN, "comma": _COMMA, "grouped": _GROUPED, "iso_date": ISO_DATE, "iso_time": ISO_TIME,
        "date": DATE, "named_month": NAMED_MONTH, "whole": r"[-+]?\d+", "zeros": r"[-+]?0\d+", "phone": r"\+\d{6,}",
        "comma_sure": r".*(\.\d{3},\d+|,(\d{1,2}|\d{4,}))", "grouped_sure": r".*(,\d{3}\.\d+|,\d{3},\d{3}.*)",
        "points_sure": r"[-+]?\d{1,3}(\.\d{3}){2,}", "points": r"[-+]?\d{1,3}\.\d{3}", "digits4": r"[-+]?\d{4,}",
        "with_unit": rf"[-+]?({_SIGN}) ?\d[\d.,]*|[-+]?\d[\d.,]* ?({_SIGN}|%|km|km/h|kg|cm|mm|m|g|kW|kWh|PS|h|min|s)",
        "eight": r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])",
    }  # fmt: skip
    counted = ", ".join(f"count(*) filter (regexp_full_match(v, '{p}')) as {name}" for name, p in patterns.items())
    row = connection.execute(
        f"select count(*) as n, count(*) filter (lower(v) in ({text_list(MISSING)})) as words, {counted} "
        f"from (select {value} as v from texts) where v <> ''"
    )
    names = [item[0] for item in row.description]
    counts = dict(zip(names, row.fetchone() or (), strict=True))
    missing: tuple[str, ...] = ()
    if counts["words"] and not has_words:
        words = connection.execute(
            f"select distinct {value} from texts where lower({value}) in ({text_list(MISSING)}) order by 1"
        ).fetchall()
        missing = tuple(word for (word,) in words)
        counts["n"] -= counts["words"]
    found = counts["date"] == counts["n"] > 0
    orders = fitting_orders(connection, column, _filled(column)) if found else ()
    return _Evidence(column, counts, missing, orders, has_words)


def _filled(column: str) -> str:
    """Query of the values of a column, without the words for a missing one."""
    value = f"trim({quoted(column)})"
    return f"select {value} as v from texts where {value} <> '' and lower({value}) not in ({text_list(MISSING)})"


def _decimal(found: Mapping[str, _Evidence]) -> str | None:
    """The decimal character of the file, where some column shows it; None if no number has a comma."""
    with_comma = [e for e in found.values() if _all_match(e, "comma") and not _all_match(e, "plain")]
    with_groups = [e for e in found.values() if _all_match(e, "grouped") and not _all_match(e, "plain")]
    if any(e.counts["comma_sure"] for e in with_comma) or any(e.counts["points_sure"] for e in found.values()):
        return ","
    if any(e.counts["grouped_sure"] for e in with_groups):
        return "."
    if not with_comma and not with_groups:
        return None
    column = (with_comma or with_groups)[0].column
    return ask(
        f"the numbers of {column} have a comma before three digits each, which fits two formats",
        "--decimal",
        {",": "1,234 is a little more than one", ".": "1,234 is more than a thousand"},
    )


def _order(found: Mapping[str, _Evidence]) -> DateOrder | None:
    """The order of dates, where some column fits one alone; None if no column needs it."""
    dates = [e for e in found.values() if e.orders]
    for evidence in dates:
        if len(evidence.orders) == 1:
            return evidence.orders[0]
    if not dates:
        return None
    meanings = {"dmy": "the day is first", "mdy": "the month is first", "ymd": "the year is first"}
    answer = ask(
        f"every date of {dates[0].column} fits two orders of day and month",
        "--dates",
        {order: meanings[order] for order in dates[0].orders},
    )
    return next(order for order in dates[0].orders if order == answer)


def _all_match(evidence: _Evidence, pattern: str) -> bool:
    return evidence.counts[pattern] == evidence.counts["n"] > 0


def _format(  # noqa: PLR0911  (one for each kind of value)
    connection: duckdb.DuckDBPyConnection, evidence: _Evidence, decimal: str | None, order: DateOrder | None
) -> TextFormat:
    counts, n = evidence.counts, evidence.counts["n"]
    if n == 0:
        return TextFormat("string", missing=evidence.missing)
    if counts["iso_date"] == n:
        return TextFormat("date", missing=evidence.missing)
    if counts["iso_time"] + counts["iso_date"] == n:
        return TextFormat("timestamp", missing=evidence.missing)
    if evidence.orders:
        if order not in evidence.orders:
            raise InitRefused.file(
                f"the column {evidence.column}",
                f"has dates that are not in the order {order}",
                f"Its dates fit --dates {' or '.join(evidence.orders)}.",
            )
        return _date_format(connection, evidence, date_pattern(connection, _filled(evidence.column), order))
    if counts["named_month"] == n:
        return _date_format(connection, evidence, named_month_pattern(connection, _filled(evidence.column)))
    if counts["eight"] == n and any(word in evidence.column for word in ("date", "datum", "day", "tag")):
        return TextFormat("date", date_format="yyyyMMdd", missing=evidence.missing)
    if counts["phone"] == n:
        return TextFormat("string", note="numbers with + at the start stay text")
    if counts["zeros"] and counts["whole"] == n:
        return TextFormat("string", note="leading zeros: stays text")
    return _number_format(evidence, decimal) or _text_format(connection, evidence)


def _number_format(evidence: _Evidence, decimal: str | None) -> TextFormat | None:
    counts, n, missing = evidence.counts, evidence.counts["n"], evidence.missing
    if counts["whole"] == n:
        return TextFormat("bigint", missing=missing)
    points = decimal == "," and counts["points"] and not counts["digits4"]
    if counts["plain"] == n and not points:
        return TextFormat("double", missing=missing)
    if counts["comma"] == n and decimal == ",":
        is_whole = not counts["comma_sure"] and counts["plain"] == n
        return TextFormat("bigint" if is_whole else "double", ",", ".", missing=missing)
    if counts["grouped"] == n and decimal == ".":
        return TextFormat("double", ".", ",", missing=missing)
    return None


def _text_format(connection: duckdb.DuckDBPyConnection, evidence: _Evidence) -> TextFormat:
    value = f"lower(trim({quoted(evidence.column)}))"
    sure = text_list(("",) if evidence.has_words else ("", *SURE))
    words = connection.execute(f"select distinct {value} from texts where {value} not in ({sure}) limit 3").fetchall()
    values = {word for (word,) in words}
    truth = next((pair for pair in TRUTHS if values == set(pair)), None)
    counts, n = evidence.counts, evidence.counts["n"]
    numbers, note = max(counts["plain"], counts["comma"]), ""
    if _all_match(evidence, "with_unit"):
        note = "numbers with a sign or unit stay text: without it they become numbers"
    elif 0.9 <= numbers / n < 1:
        others = n - numbers
        note = f"{number_of('value', others)} {'is' if others == 1 else 'are'} no number: stays text"
    return TextFormat(
        "boolean" if truth else "string", truth=truth, missing=evidence.missing if truth else (), note=note
    )


def _date_format(connection: duckdb.DuckDBPyConnection, evidence: _Evidence, pattern: str | None) -> TextFormat:
    if pattern is None:
        return TextFormat("string", note="dates in several formats stay text")
    kind: SqlType = "timestamp" if "H" in pattern else "date"
    latest = latest_year(pattern)
    if latest == 9999:
        return TextFormat(kind, date_format=pattern, missing=evidence.missing)
    row = connection.execute(f"select max(year({parsed('v', pattern)})) from ({_filled(evidence.column)})").fetchone()
    if row and (row[0] or 0) > latest:
        return TextFormat(
            "string", note=f"dates with years of two digits, of which some may be before {latest}: stay text"
        )
    return TextFormat(kind, date_format=pattern, missing=evidence.missing, note=SHORT_YEAR_NOTE)


def _sure(connection: duckdb.DuckDBPyConnection, column: str, words: Sequence[str]) -> tuple[str, ...]:
    """Words of a text column that mean a missing value: sure ones, and those that a column of numbers has too."""
    value = f"trim({quoted(column)})"
    rows = connection.execute(
        f"select distinct {value} from texts where lower({value}) in ({text_list(SURE)}) "
        f"or {value} in ({text_list(words) or 'null'}) order by 1"
    ).fetchall()
    return tuple(word for (word,) in rows)
