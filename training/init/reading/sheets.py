"""The table of a workbook: its sheet, its header, and what stands before and behind it."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from lakehouse.landing.sources.workbook import numbered_rows, sheet_names
from training.init.errors import InitRefused, ask
from training.init.reading.dialect import SUM

_HEAD = 1_000  # rows in which the header is looked for
_TAIL = 10  # rows at the end that may be no rows of the table


@dataclass(frozen=True)
class SheetTable:
    """The table of a sheet.

    Attributes:
        sheet: name of the sheet; None for the only one of a workbook.
        header: names of its columns.
        skip_rows: rows of the sheet before the header.
        skip_last_rows: rows with a value behind the table.
    """

    sheet: str | None
    header: tuple[str, ...]
    skip_rows: int = 0
    skip_last_rows: int = 0


def find_sheet(path: Path, named: str | None) -> SheetTable:
    """Find the table of a workbook; with several tables, the person chooses.

    Raises:
        InitRefused: no sheet has a table, or several have one and there is no terminal.
        LandingSourceRefused: the file is no workbook, or has no sheet of that name.
    """
    if named is not None:
        return _table(path, named)
    names = sheet_names(path)
    if len(names) == 1:
        return _table(path, None)
    tables = {name: _table(path, name) for name in names}
    tables = {name: table for name, table in tables.items() if len(table.header) > 1}
    if not tables:
        raise InitRefused.file(path, "has no sheet with a table", "Name the sheet: --table NAME.")
    chosen = next(iter(tables))
    if len(tables) > 1:
        columns = {name: f"columns {', '.join(table.header[:4])}" for name, table in tables.items()}
        chosen = ask(f"{path.name} has several sheets", "--table", columns)
    return tables[chosen]


def _table(path: Path, sheet: str | None) -> SheetTable:
    rows = numbered_rows(path, sheet)
    head = list(islice(rows, _HEAD))
    tail = deque(head, _TAIL)
    tail.extend(rows)
    widths = Counter(width for _, row in head if (width := _width(row)) > 1)
    if not widths:
        return SheetTable(sheet, tuple(str(row[0]) for _, row in head[:1]))
    width = widths.most_common(1)[0][0]
    number, header = next((number, row) for number, row in head if _width(row) == width)
    last = _footer_rows([row for row_number, row in tail if row_number > number])
    names = tuple(str(value) for value in header if value is not None)
    return SheetTable(sheet, names, number - 1, last)


def _width(row: Sequence[Any]) -> int:
    """Position of the last value, from 1; 0 for a row with fewer than two values."""
    filled = [position for position, value in enumerate(row, 1) if value is not None]
    return filled[-1] if len(filled) > 1 else 0


def _footer_rows(rows: Sequence[Sequence[Any]]) -> int:
    """Rows at the end from the sum on."""
    for count, row in enumerate(reversed(rows), 1):
        if SUM.fullmatch(str(next(value for value in row if value is not None))):
            return count
        if _width(row):
            return 0
    return 0
