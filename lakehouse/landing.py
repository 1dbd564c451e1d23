"""Raw files as they land: read whole, every value as text, or refused with the row that is wrong."""

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
    """No file at the landing path."""

    @classmethod
    def at(cls, path: Path) -> "LandingFileMissing":
        return cls(
            f"the landing file {path} is not there",
            hint="Put it there, or name its folder in LAKEHOUSE_LANDING.",
        )


class LandingFileRefused(LakehouseError):
    """The file is there, and is not what was declared."""

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
            f"{failed} is not the declared one: missing {missing or 'none'}, not declared {extra or 'none'}, "
            f"found {list(found)}",
            hint="Correct the file, or `landing_file.columns` in the model's .yml.",
        )

    @classmethod
    def rows(cls, path: Path, bad: Sequence["Misshapen"], declared: int) -> "LandingFileRefused":
        shown = "; ".join(
            f"line {row.line} has {row.fields} of {declared} fields: {row.text[:60]!r}" for row in bad[:3]
        )
        return cls(
            f"{len(bad)} row(s) of the landing file {path} have the wrong number of fields: {shown}",
            hint="Correct them; the tables stay as they are until the whole file reads.",
        )

    @classmethod
    def columns(cls, path: Path, there: Mapping[str, str], declared: Mapping[str, str]) -> "LandingFileRefused":
        problems = [f"{name} is missing" for name in declared if name not in there]
        problems += [f"{name} is not declared" for name in there if name not in declared]
        problems += [
            f"{name} is {there[name]} and not {declared[name]}"
            for name in declared
            if there.get(name, declared[name]) != declared[name]
        ]
        return cls(
            f"the landing file {path} has other columns than declared: {'; '.join(problems)}",
            hint="Deliver it again, or correct `landing_files.columns` in the model's .yml.",
        )

    @classmethod
    def out_of_order(cls, path: Path, first: datetime, until: datetime) -> "LandingFileRefused":
        return cls(
            f"the landing file {path} has rows known at {first:%Y-%m-%d %H:%M:%S}, and all that was known until "
            f"{until:%Y-%m-%d %H:%M:%S} is loaded already",
            hint="Deliver them with a later `known_at`, or load everything again: dbt build --full-refresh",
        )

    @classmethod
    def changed(cls, path: Path, delivery: str, there: int, loaded: int) -> "LandingFileRefused":
        return cls(
            f"the delivery {delivery}, of which {path} is a file, has {there:,} row(s), and {loaded:,} are loaded",
            hint="Deliver what is new under a name of its own, or load everything again: dbt build --full-refresh",
        )

    @classmethod
    def alone(cls, path: Path, delivery: str, folder: Path) -> "LandingFileRefused":
        return cls(
            f"the landing file {path} came alone: {folder} has no delivery {delivery}",
            hint="Deliver both under one name, without rows where there are none, and build again.",
        )

    @classmethod
    def without_a_time(cls, path: Path, rows: int) -> "LandingFileRefused":
        return cls(
            f"{rows} row(s) of the landing file {path} have no `known_at`, by which deliveries are in order",
            hint="Say when each row became known, and deliver it again.",
        )

    @classmethod
    def from_the_future(cls, path: Path, last: datetime, now: datetime) -> "LandingFileRefused":
        return cls(
            f"the landing file {path} has rows known at {last:%Y-%m-%d %H:%M:%S} UTC, "
            f"and now is {now:%Y-%m-%d %H:%M:%S}",
            hint="Correct the clock or time zone of its source, and deliver it again.",
        )


@dataclass(frozen=True)
class Misshapen:
    """A row with too few or too many fields, and the line of the file on which it begins."""

    line: int
    fields: int
    text: str


def read_delimited(path: Path, columns: Sequence[str], delimiter: str) -> pa.Table:
    """Read a delimited file (gzip by its ending), every value as text, with `row_number` from 1 in file order.

    Args:
        path: the file.
        columns: the header it must have, in this order.
        delimiter: one character.

    Raises:
        LandingFileMissing: no file is there.
        LandingFileRefused: another header, a row with too few or too many fields, a broken archive, no rows.
    """
    if not path.is_file():
        raise LandingFileMissing.at(path)
    try:
        rows, whole = _parse(path, columns, delimiter)
    except (pa.ArrowInvalid, OSError) as err:
        raise LandingFileRefused.unreadable(path, err) from err
    if rows.column_names != list(columns):
        raise LandingFileRefused.header(path, rows.column_names, columns, delimiter)
    if _quotes(path) % 2 and not _closes(path, delimiter):
        raise LandingFileRefused.unreadable(path, ValueError("a quote that opens a value never ends"))
    if not whole:
        raise LandingFileRefused.rows(path, list(_misshapen(path, len(columns), delimiter)), len(columns))
    if rows.num_rows == 0:
        raise LandingFileRefused(f"the landing file {path} has a header and no rows", hint="Deliver the file again.")
    return rows.append_column(ROW_NUMBER, pa.array(range(1, rows.num_rows + 1), pa.int64()))


def _parse(path: Path, columns: Sequence[str], delimiter: str) -> tuple[pa.Table, bool]:
    """The rows that have as many fields as the header, and whether those are all."""
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
    # An open quote would swallow every row behind it without a word.
    with pa.input_stream(path) as content:
        return sum(block.count(b'"') for block in iter(lambda: content.read(2**20), b""))


def _closes(path: Path, delimiter: str) -> bool:
    """Whether every quote that opens a value ends; one inside a value opens none."""
    with _opened(path) as file:
        try:
            for _ in csv.reader(file, delimiter=delimiter, strict=True):
                pass
        except csv.Error:
            return False
    return True


def _misshapen(path: Path, declared: int, delimiter: str) -> Iterator[Misshapen]:
    # The fast parser counts records and not lines, so a refused file is read again to say where it is wrong.
    with _opened(path) as file:
        records = csv.reader(file, delimiter=delimiter)
        line = 1
        for fields in records:
            if fields and len(fields) != declared:
                yield Misshapen(line, len(fields), delimiter.join(fields))
            line = records.line_num + 1


def _opened(path: Path) -> TextIO:
    opened = gzip.open if path.suffix == ".gz" else open
    file: TextIO = opened(path, "rt", encoding="utf-8", errors="replace", newline="")
    return file
