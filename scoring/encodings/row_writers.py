"""Writers of single values into a row of features: the fast path of a request, without an array in between.

A writer encodes every value that its encoding distinguishes once, and looks the result up from then on. So both paths
agree by construction, and a row takes microseconds.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy.typing as npt

EncodedRow = list[Any]  # numbers, and the text of a text feature
RowCells = Sequence[tuple[int, float]]  # (index in the row, number); the encoding's other cells are 0
RowWriter = Callable[[Any, EncodedRow], bool]  # False: the contract may refuse the value, nothing is written


def row_cells(columns: Mapping[str, npt.NDArray[Any]], features: Sequence[str], rows: int) -> list[RowCells]:
    """The cells of each row of an encoding's columns, without zeros and without features that the model ignores."""
    used = [(index, columns[name].tolist()) for index, name in enumerate(features) if name in columns]
    return [[(index, column[row]) for index, column in used if column[row]] for row in range(rows)]


def write_cells(cells: RowCells, row: EncodedRow) -> bool:
    """Write the cells into the row; always True."""
    for index, number in cells:
        row[index] = number
    return True


def choice_writer(known: Mapping[Any, RowCells], unknown: RowCells | None) -> RowWriter:
    """Writer for a few known values; any other of the same types is `unknown`, or refused if that is None."""
    types = {type(value) for value in known}  # 1 is not True here

    def write(value: Any, row: EncodedRow) -> bool:
        cells = known.get(value, unknown)
        return cells is not None and type(value) in types and write_cells(cells, row)

    return write
