"""Delimiter, header, preamble and footer of a text file."""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from tempfile import NamedTemporaryFile

import duckdb

from training.init.errors import InitRefused
from training.init.reading.encoding import DecodedFile

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_RECORDS = 5_000  # of the head
_AGREEING = 0.8  # share of the records that must have the fields of the header
SUM = re.compile(r"(summe|sum|total|gesamt|gesamtsumme|insgesamt)\b:?", re.IGNORECASE)
_VALUE = re.compile(r"[-+]?[\d.,]+|\d{1,4}[-./]\d{1,2}[-./]\d{1,4}.*")


@dataclass(frozen=True)
class Dialect:
    """Format of a delimited file.

    Attributes:
        header: names of the columns, as the file has them.
        skip_lines: lines before the header.
        skip_last_lines: lines behind the last row.
        escape: character that escapes a quote; None if a quote is doubled.
    """

    delimiter: str
    header: tuple[str, ...]
    skip_lines: int
    skip_last_lines: int
    escape: str | None


@dataclass(frozen=True)
class _Reading:
    """The head of a file as one delimiter cuts it."""

    delimiter: str
    records: Sequence[tuple[int, list[str]]]  # line and fields
    width: int
    start: int

    @property
    def header(self) -> list[str]:
        return [name.strip() for name in self.records[self.start][1]]

    @property
    def agreeing(self) -> float:
        rows = self.records[self.start :]
        return sum(len(fields) == self.width for _, fields in rows) / len(rows)

    @property
    def rank(self) -> tuple[bool, float, int, int]:
        names = not any(_VALUE.fullmatch(name) for name in self.header)
        return names, round(self.agreeing, 1), -self.start, self.width


def find_dialect(file: DecodedFile) -> Dialect:
    """Find the delimiter that cuts the header like the rows.

    Raises:
        InitRefused: no delimiter does, the header is missing, or names a column twice.
    """
    text = _whole_lines(file)
    readings = [reading for delimiter in DELIMITERS if (reading := _reading(text, delimiter)) is not None]
    fitting = [reading for reading in readings if reading.agreeing >= _AGREEING]
    if not fitting:
        raise _no_delimiter(file, text)
    best = max(fitting, key=lambda reading: reading.rank)
    _require_header(file, best)
    last = _footer_lines(file, best)
    escape = "\\" if re.search(r'(?<!\\)\\"', text) and not re.search(r'[^,;\t|\n"]""[^,;\t|\r\n"]', text) else None
    skip = best.records[best.start][0] - 1
    return Dialect(best.delimiter, tuple(best.records[best.start][1]), skip, last, escape)


def _whole_lines(file: DecodedFile) -> str:
    text = file.head.decode("utf-8", "ignore")
    return text if file.is_complete else text[: max(text.rfind("\n"), text.rfind("\r")) + 1]


def _reading(text: str, delimiter: str) -> _Reading | None:
    records, line = [], 1
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for fields in reader:
            if any(field.strip() for field in fields):
                records.append((line, fields))
            line = reader.line_num + 1
            if len(records) == _RECORDS:
                break
    except csv.Error:
        return None
    widths = Counter(len(fields) for _, fields in records if len(fields) > 1)
    if not widths:
        return None
    width = widths.most_common(1)[0][0]
    start = next(i for i, (_, fields) in enumerate(records) if len(fields) == width)
    return _Reading(delimiter, records, width, start)


def _no_delimiter(file: DecodedFile, text: str) -> InitRefused:
    lines = [line for line in text.splitlines() if line.strip()]
    delimiter = max(DELIMITERS, key=lines[0].count) if lines else ","
    if not lines or delimiter not in lines[0]:
        shown = repr(lines[0][:80]) if lines else "nothing"
        known = ", ".join(DELIMITERS.values())
        return InitRefused.file(
            file.path, f"has one column: line 1 is {shown}", f"A table has fields between one of {known}."
        )
    width = lines[0].count(delimiter)
    number, line = next(
        ((number, line) for number, line in enumerate(lines, 1) if line.count(delimiter) != width), (1, lines[0])
    )
    return InitRefused.file(
        file.path,
        f"has {width + 1} fields in line 1 and {line.count(delimiter) + 1} in line {number}: {line[:80]!r}",
        f"Correct it: the {DELIMITERS[delimiter]} must cut every row into the same fields.",
    )


def _require_header(file: DecodedFile, reading: _Reading) -> None:
    line, header = reading.records[reading.start][0], reading.header
    if values := [name for name in header if _VALUE.fullmatch(name)]:
        raise InitRefused.file(
            file.path,
            f"has no header: line {line} holds values such as {values[0]!r}",
            "Add a first line with the names of the columns.",
        )
    times = Counter(name.lower() for name in header if name)
    if twice := [name for name in header if times[name.lower()] > 1]:
        raise InitRefused.file(
            file.path, f"names a column twice in line {line}: {', '.join(twice)}", "Rename one of them in the file."
        )
    if len(reading.records) == reading.start + 1:
        raise InitRefused.file(file.path, "has a header and no rows", "Export it again.")


def _footer_lines(file: DecodedFile, reading: _Reading) -> int:
    """Lines at the end that are no rows: a sum, or a sentence in a single field."""
    lines = file.tail.decode("utf-8", "ignore").splitlines()
    footer = 0
    for count, line in enumerate(reversed(lines[-10:]), 1):
        fields = next(csv.reader([line], delimiter=reading.delimiter), [])
        filled = [field.strip() for field in fields if field.strip()]
        if not filled:
            continue
        is_sum = SUM.fullmatch(filled[0]) is not None
        is_sentence = len(fields) == 1 and reading.width > 1 and '"' not in line
        if not (is_sum or is_sentence) or filled == reading.header:
            break
        footer = count
    return footer


def second_opinion(file: DecodedFile, found: Dialect) -> str:
    """DuckDB's opinion on the delimiter, if it differs; the person must hear of it."""
    with NamedTemporaryFile("w", suffix=".csv", encoding="utf-8", newline="") as sample:
        sample.write(_whole_lines(file))
        sample.flush()
        try:
            query = f"select delimiter from sniff_csv('{sample.name}', sample_size=-1)"
            sniffed = duckdb.connect().execute(query).fetchone()
        except duckdb.Error:
            return ""
    other = str(sniffed[0]) if sniffed else found.delimiter
    if other == found.delimiter or other not in DELIMITERS:
        return ""
    return f"the delimiter is taken as {DELIMITERS[found.delimiter]}; {DELIMITERS[other]} also cuts many lines"
