"""Reads delimited landing files with every value as text, or refuses them by line."""

import csv
import gzip
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TextIO

import pyarrow as pa
import pyarrow.csv as pacsv

from lakehouse.errors import LakehouseError

ROW_NUMBER = "row_number"


class LandingFileMissing(LakehouseError):
    """There is no file at the landing path."""

    @classmethod
    def at(cls, path: Path) -> "LandingFileMissing":
        return cls(
            f"the landing file {path} does not exist",
            hint="Put it there, or set LAKEHOUSE_LANDING to its folder.",
        )


class LandingFileRefused(LakehouseError):
    """The landing file differs from its declaration."""

    @classmethod
    def unreadable(cls, path: Path, reason: Exception) -> "LandingFileRefused":
        return cls(f"the landing file {path} cannot be read: {reason}", hint="Deliver the file again.")

    @classmethod
    def header(
        cls, path: Path, found: Sequence[str], declared: Sequence[str], delimiter: str
    ) -> "LandingFileRefused":
        failed = f"the header of the landing file {path}"
        if len(found) == 1 and len(declared) > 1:
            return cls(
                f"{failed} does not split at '{delimiter}': {found[0][:80]!r}",
                hint="Deliver the file with that delimiter, or correct `landing_file.delimiter` in the model's .yml.",
            )
        missing, extra = [c for c in declared if c not in found], [c for c in found if c not in declared]
        return cls(
            f"{failed} differs from the declared one: missing {missing or 'none'}, not declared {extra or 'none'}, "
            f"found {list(found)}",
            hint="Correct the file, or `landing_file.columns` in the model's .yml.",
        )

    @classmethod
    def rows(cls, path: Path, bad: Sequence["MalformedRow"], declared: int) -> "LandingFileRefused":
        lines = "; ".join(
            f"line {row.line} has {row.fields} of {declared} fields: {row.text[:60]!r}" for row in bad[:3]
        )
        return cls(
            f"{len(bad)} row(s) of the landing file {path} have the wrong number of fields: {lines}",
            hint="Correct them. The tables do not change until the entire file can be read.",
        )

    @classmethod
    def columns(cls, path: Path, found: Mapping[str, str], declared: Mapping[str, str]) -> "LandingFileRefused":
        problems = [f"{name} is missing" for name in declared if name not in found]
        problems += [f"{name} is not declared" for name in found if name not in declared]
        problems += [
            f"{name} is {found[name]} instead of {declared[name]}"
            for name in declared
            if found.get(name, declared[name]) != declared[name]
        ]
        return cls(
            f"the columns of the landing file {path} differ from the declared ones: {'; '.join(problems)}",
            hint="Deliver it again, or correct `landing_files.columns` in the model's .yml.",
        )

    @classmethod
    def out_of_order(cls, path: Path, first: datetime, until: datetime) -> "LandingFileRefused":
        return cls(
            f"the landing file {path} has rows known at {first:%Y-%m-%d %H:%M:%S}, but all rows known until "
            f"{until:%Y-%m-%d %H:%M:%S} are already loaded",
            hint="Deliver them with a later `known_at`, or load everything again: dbt build --full-refresh",
        )

    @classmethod
    def changed(cls, path: Path, delivery: str, rows: int, loaded: int) -> "LandingFileRefused":
        return cls(
            f"the delivery {delivery} (file {path}) has {rows:,} row(s), but {loaded:,} were loaded",
            hint="Deliver new rows under a new name, or load everything again: dbt build --full-refresh",
        )

    @classmethod
    def alone(cls, path: Path, delivery: str, folder: Path) -> "LandingFileRefused":
        return cls(
            f"the landing file {path} arrived without its counterpart: {folder} has no delivery {delivery}",
            hint="Deliver both under one name, one of them empty if it has no rows, and build again.",
        )

    @classmethod
    def without_a_time(cls, path: Path, rows: int) -> "LandingFileRefused":
        return cls(
            f"{rows} row(s) of the landing file {path} have no `known_at`, which orders the deliveries",
            hint="Set the time at which each row became known, and deliver the file again.",
        )

    @classmethod
    def from_the_future(cls, path: Path, last: datetime, now: datetime) -> "LandingFileRefused":
        return cls(
            f"the landing file {path} has rows known at {last:%Y-%m-%d %H:%M:%S} UTC, "
            f"which is after now ({now:%Y-%m-%d %H:%M:%S})",
            hint="Correct the clock or time zone of its source, and deliver the file again.",
        )


@dataclass(frozen=True)
class MalformedRow:
    """A row with too few or too many fields, and the line on which it starts."""

    line: int
    fields: int
    text: str


def read_delimited(path: Path, columns: Sequence[str], delimiter: str) -> pa.Table:
    """Read a delimited file (gzip by extension) with every value as text, and `row_number` from 1 in file order.

    Args:
        path: the file.
        columns: the required header, in this order.
        delimiter: one character.

    Raises:
        LandingFileMissing: the file does not exist.
        LandingFileRefused: another header, a row with too few or too many fields, a broken archive, or no rows.
    """
    if not path.is_file():
        raise LandingFileMissing.at(path)
    try:
        rows, is_complete = _parse(path, columns, delimiter)
    except (pa.ArrowInvalid, OSError) as err:
        raise LandingFileRefused.unreadable(path, err) from err
    if rows.column_names != list(columns):
        raise LandingFileRefused.header(path, rows.column_names, columns, delimiter)
    if _quotes(path) % 2 and not _closes(path, delimiter):
        raise LandingFileRefused.unreadable(path, ValueError("an opening quote is never closed"))
    if not is_complete:
        raise LandingFileRefused.rows(path, list(_malformed_rows(path, len(columns), delimiter)), len(columns))
    if rows.num_rows == 0:
        raise LandingFileRefused(f"the landing file {path} has a header and no rows", hint="Deliver the file again.")
    return rows.append_column(ROW_NUMBER, pa.array(range(1, rows.num_rows + 1), pa.int64()))


def _parse(path: Path, columns: Sequence[str], delimiter: str) -> tuple[pa.Table, bool]:
    """Rows with as many fields as the header, and True if no row was skipped."""
    skipped: list[pacsv.InvalidRow] = []

    def skip(row: pacsv.InvalidRow) -> str:
        skipped.append(row)
        return "skip"

    rows = pacsv.read_csv(
        path,
        parse_options=pacsv.ParseOptions(delimiter=delimiter, invalid_row_handler=skip, newlines_in_values=True),
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False
        ),
    )
    return rows, not skipped


def _quotes(path: Path) -> int:
    # An unclosed quote would silently swallow every later row.
    with pa.input_stream(path) as content:
        return sum(block.count(b'"') for block in iter(lambda: content.read(2**20), b""))


def _closes(path: Path, delimiter: str) -> bool:
    """Return True if every quote at the start of a value is closed."""
    with _opened(path) as file:
        try:
            for _ in csv.reader(file, delimiter=delimiter, strict=True):
                pass
        except csv.Error:
            return False
    return True


def _malformed_rows(path: Path, declared: int, delimiter: str) -> Iterator[MalformedRow]:
    # The fast parser counts records, not lines: a refused file is read again to find the line numbers.
    with _opened(path) as file:
        records = csv.reader(file, delimiter=delimiter)
        line = 1
        for fields in records:
            if fields and len(fields) != declared:
                yield MalformedRow(line, len(fields), delimiter.join(fields))
            line = records.line_num + 1


def _opened(path: Path) -> TextIO:
    opened = gzip.open if path.suffix == ".gz" else open
    file: TextIO = opened(path, "rt", encoding="utf-8", errors="replace", newline="")
    return file
