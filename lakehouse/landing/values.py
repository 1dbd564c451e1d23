"""Numbers and dates of a landing file in a declared format, converted to texts that SQL can cast."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.landing.months import month_numbers
from lakehouse.landing.options import DATE_PIECES, LandingOptions


@dataclass(frozen=True)
class ValueProblem:
    """A value that its column cannot have, by its position among the rows."""

    row: int
    column: str
    problem: str
    hint: str


def converted(rows: pa.Table, options: LandingOptions) -> pa.Table | ValueProblem:
    """Rows whose declared numbers and dates are texts that SQL can cast, or the first value that is neither."""
    problems: list[ValueProblem] = []
    rows = _without_missing(rows, options)
    for column, conversion in _conversions(options).items():
        values = pc.utf8_trim_whitespace(rows[column])
        texts = conversion(values)
        wrong = pc.and_(pc.is_null(texts), pc.not_equal(values, ""))
        if pc.any(wrong).as_py():
            row = pc.index(wrong, True).as_py()
            problems.append(_not_converted(row, column, values[row].as_py(), options))
        rows = rows.set_column(rows.column_names.index(column), column, pc.fill_null(texts, ""))
    return min(problems, key=lambda problem: problem.row) if problems else rows


def _matches(values: pa.ChunkedArray, pattern: str) -> pa.ChunkedArray:
    return pc.match_substring_regex(values, pattern)


Conversion = Callable[[pa.ChunkedArray], pa.ChunkedArray]


def _conversions(options: LandingOptions) -> Mapping[str, Conversion]:
    return {
        **{column: lambda values: _as_numbers(values, options) for column in options.numbers},
        **{column: partial(_as_dates, pattern=pattern) for column, pattern in options.date_formats.items()},
    }


def _without_missing(rows: pa.Table, options: LandingOptions) -> pa.Table:
    """Rows with an empty text in place of each text that means a missing value."""
    for column, words in options.missing_words.items():
        values = rows[column]
        is_missing = pc.is_in(pc.utf8_trim_whitespace(values), value_set=pa.array(words))
        position = rows.column_names.index(column)
        rows = rows.set_column(position, column, pc.if_else(is_missing, "", values))
    return rows


def _as_numbers(values: pa.ChunkedArray, options: LandingOptions) -> pa.ChunkedArray:
    """Numbers such as -1234.5; NULL where a value is not a number in the declared format."""
    whole = r"\d+"
    if options.thousands is not None:
        whole = rf"(\d{{1,3}}({re.escape(options.thousands)}\d{{3}})+|\d+)"
    is_number = _matches(values, rf"^[+-]?{whole}({re.escape(options.decimal)}\d+)?([eE][+-]?\d+)?$")
    if options.thousands is not None:
        values = pc.replace_substring(values, options.thousands, "")
    return pc.if_else(is_number, pc.replace_substring(values, options.decimal, "."), pa.scalar(None, pa.string()))


def _as_dates(values: pa.ChunkedArray, pattern: str) -> pa.ChunkedArray:
    """Dates such as 2024-12-31, with a time if the pattern has one; NULL where a value is no date of the pattern."""
    pieces = list(DATE_PIECES.finditer(pattern))
    words = [piece[0] for piece in pieces if piece[1]]
    digits = {word: r"\d{1,2}" if len(word) == 1 else rf"\d{{{len(word)}}}" for word in words}
    digits["MMM"] = r"\p{L}+\.?"
    groups = (f"(?P<{piece[1]}>{digits[piece[0]]})" if piece[1] else re.escape(piece[0]) for piece in pieces)
    found = pc.extract_regex(values, f"^{''.join(groups)}$")
    parts = {word[0]: _padded(pc.struct_field(found, word[0]), word) for word in words}
    texts = pc.binary_join_element_wise(parts["y"], parts["M"], parts["d"], "-")
    if "H" not in parts:
        return _only_in_the_calendar(texts, pa.date32())
    times = (parts.get(letter, pa.scalar("00")) for letter in "Hms")
    texts = pc.binary_join_element_wise(texts, pc.binary_join_element_wise(*times, ":"), " ")
    return _only_in_the_calendar(texts, pa.timestamp("s"))


def _padded(values: pa.ChunkedArray, word: str) -> pa.ChunkedArray:
    """Digits of one word of a date pattern: a year in four, all else in two; no month has an unknown name."""
    if word == "yy":  # as POSIX reads it: 69 to 99 are of the last century
        return pc.binary_join_element_wise(pc.if_else(pc.greater_equal(values, "69"), "19", "20"), values, "")
    if word == "MMM":
        return pc.utf8_lpad(pc.cast(month_numbers(values), pa.string()), 2, "0")
    return pc.utf8_lpad(values, max(len(word), 2), "0")


def _only_in_the_calendar(texts: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    try:
        pc.cast(texts, kind)
    except pa.ArrowInvalid:
        days = {text.as_py(): _is_in_the_calendar(text, kind) for text in pc.unique(texts)}
        return pc.if_else(pa.array([days[text] for text in texts.to_pylist()]), texts, pa.scalar(None, pa.string()))
    return texts


def _is_in_the_calendar(text: pa.Scalar, kind: pa.DataType) -> bool:
    try:
        pc.cast(text, kind)
    except pa.ArrowInvalid:
        return False
    return True


def _not_converted(row: int, column: str, value: str, options: LandingOptions) -> ValueProblem:
    hint = "Correct it, or move the column from `{}` to `texts` and clean it in staging."
    if column in options.dates:
        return ValueProblem(
            row,
            column,
            f"{value[:60]!r}, which is not a date like {options.date_formats[column]},",
            hint.format("dates"),
        )
    example = f"1{options.thousands or ''}234{options.decimal}5"
    return ValueProblem(row, column, f"{value[:60]!r}, which is not a number like {example},", hint.format("numbers"))
