"""A sheet of an Excel workbook as batches of rows."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time
from itertools import islice
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import pyarrow as pa

from lakehouse.errors import nearest
from lakehouse.landing.errors import LandingFileMissing
from lakehouse.landing.sources.arrow_types import ARROW
from lakehouse.landing.sources.declaration import SqlType
from lakehouse.landing.sources.errors import LandingSourceRefused

_BATCH = 10_000


def workbook(
    path: Path, sheet: str | None, skip_rows: int = 0, skip_last_rows: int = 0
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """A sheet with its header in the row after `skip_rows`; a row without any value is left out.

    A column has the type of all of its values, and is text if they differ: a post code beside a number.

    Raises:
        LandingFileMissing: there is no file.
        LandingSourceRefused: the file is no workbook, or has no such sheet, or the sheet is empty.
    """

    def rows() -> Iterator[Sequence[Any]]:
        return _without_last(sheet_rows(path, sheet, skip_rows), skip_last_rows)

    header = next(rows(), None)
    if header is None:
        raise LandingSourceRefused.no_rows(f"the workbook {path}")
    last = max((position for position, name in enumerate(header) if name is not None), default=-1) + 1
    names = [f"unnamed_{position + 1}" if name is None else str(name).strip() for position, name in enumerate(header)]
    types = _types(row[:last] for row in islice(rows(), 1, None))
    kinds = [types.get(position, "string") for position in range(last)]
    schema = pa.schema([(name, ARROW[kind]) for name, kind in zip(names[:last], kinds, strict=True)])
    return schema, _batches(islice(rows(), 1, None), schema, kinds)


def _opened(path: Path) -> Any:
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    if not path.is_file():
        raise LandingFileMissing.at(path)
    try:
        return load_workbook(path, read_only=True, data_only=True)
    except (BadZipFile, InvalidFileException, KeyError, OSError, ValueError) as err:
        raise LandingSourceRefused.unreadable(f"the workbook {path}", err) from err


def sheet_names(path: Path) -> list[str]:
    """Names of the sheets of a workbook.

    Raises:
        LandingFileMissing: there is no file.
        LandingSourceRefused: the file is no workbook.
    """
    book = _opened(path)
    names = list(book.sheetnames)
    book.close()
    return names


def sheet_rows(path: Path, sheet: str | None, skip_rows: int = 0) -> Iterator[Sequence[Any]]:
    """Rows of a sheet that have a value, from the row after `skip_rows` on.

    Raises:
        LandingFileMissing: there is no file.
        LandingSourceRefused: the file is no workbook, or has no such sheet.
    """
    for _, values in numbered_rows(path, sheet, skip_rows):
        yield values


def numbered_rows(path: Path, sheet: str | None, skip_rows: int = 0) -> Iterator[tuple[int, Sequence[Any]]]:
    """The rows of `sheet_rows`, each with its number in the sheet, from 1."""
    book = _opened(path)
    try:
        if sheet is not None and sheet not in book.sheetnames:
            raise LandingSourceRefused.no_table(f"the sheet {sheet} of {path}", nearest(sheet, book.sheetnames))
        page = book[sheet] if sheet is not None else book[book.sheetnames[0]]
        for number, row in enumerate(page.iter_rows(min_row=skip_rows + 1, values_only=True), skip_rows + 1):
            values = [value.strip() or None if isinstance(value, str) else value for value in row]
            if any(value is not None for value in values):
                yield number, values
    finally:
        book.close()


def _without_last(rows: Iterator[Sequence[Any]], count: int) -> Iterator[Sequence[Any]]:
    """The rows without the last ones."""
    pending = deque[Sequence[Any]]()
    for row in rows:
        pending.append(row)
        if len(pending) > count:
            yield pending.popleft()


def _types(rows: Iterable[Sequence[Any]]) -> dict[int, SqlType]:
    found: dict[int, set[SqlType]] = {}
    for row in rows:
        for position, value in enumerate(row):
            if value is not None:
                found.setdefault(position, set()).add(_type(value))
    return {position: _common(kinds) for position, kinds in found.items()}


def _type(value: Any) -> SqlType:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "bigint"
    if isinstance(value, float):
        return "bigint" if value.is_integer() and abs(value) < 2**53 else "double"
    if isinstance(value, datetime):
        return "date" if value.time() == time() else "timestamp"
    return "date" if isinstance(value, date) else "string"


def _common(kinds: set[SqlType]) -> SqlType:
    if len(kinds) == 1:
        return next(iter(kinds))
    if kinds == {"bigint", "double"}:
        return "double"
    return "timestamp" if kinds == {"date", "timestamp"} else "string"


def _batches(rows: Iterator[Sequence[Any]], schema: pa.Schema, kinds: Sequence[SqlType]) -> Iterator[pa.RecordBatch]:
    while block := list(islice(rows, _BATCH)):
        columns = [
            pa.array([_value(row[i] if i < len(row) else None, kind) for row in block], schema.field(i).type)
            for i, kind in enumerate(kinds)
        ]
        yield pa.record_batch(columns, schema=schema)


def _value(value: Any, kind: SqlType) -> Any:
    if value is None:
        return None
    if kind == "string":
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    if kind == "bigint":
        return int(value)
    return value.date() if kind == "date" and isinstance(value, datetime) else value
