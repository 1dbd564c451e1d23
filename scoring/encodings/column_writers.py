"""Writers of whole columns: the fast path of a request with many rows.

They accept a part of what the row writers accept, and write the same numbers: both take them from the same cells.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats
from scoring.encodings.row_writers import RowCells

ColumnWriter = Callable[[Sequence[Any], Floats], bool]  # False: the row writers decide about each value
_PLAIN_NUMBERS = frozenset({int, float})


def number_writer(index: int | None, low: float, high: float, *, whole: bool) -> ColumnWriter:
    """Writer of numbers within bounds to one feature; None if the model ignores it."""

    def write(values: Sequence[Any], matrix: Floats) -> bool:
        numbers = plain_numbers(values)
        if numbers is None or not low <= numbers.min() <= numbers.max() <= high:  # a NaN is the smallest and largest
            return False
        if whole and float in map(type, values) and (numbers != np.trunc(numbers)).any():
            return False
        if index is not None:
            matrix[:, index] = numbers
        return True

    return write


def choice_writer(known: Mapping[Any, RowCells], unknown: RowCells | None, features: int) -> ColumnWriter:
    """Writer for a few known values; any other of the same types is `unknown`, or refused if that is None."""
    types = {type(value) for value in known}
    only_text = types <= {str, type(None)}  # nothing else equals a text; but 1 equals True
    place_of = {value: place for place, value in enumerate(known)}.get
    columns, block = cells_block([*known.values(), unknown or ()], features)
    last = len(known)

    def write(values: Sequence[Any], matrix: Floats) -> bool:
        if not only_text and not types.issuperset(map(type, values)):
            return False
        found: list[Any] = list(map(place_of, values))
        if None in found:
            if unknown is None or not types.issuperset(map(type, values)):
                return False
            found = [last if place is None else place for place in found]
        matrix[:, columns] = block.take(found, axis=0)
        return True

    return write


def cells_block(cells: Sequence[RowCells], features: int) -> tuple[npt.NDArray[np.intp] | slice, Floats]:
    """The features that any of the cells fill, as a slice if they adjoin, and (cells, features) their numbers."""
    block = np.zeros((len(cells), features))
    for row, each in enumerate(cells):
        for index, number in each:
            block[row, index] = number
    filled = np.flatnonzero(block.any(axis=0))
    columns: npt.NDArray[np.intp] | slice = filled
    if len(filled) and filled[-1] - filled[0] == len(filled) - 1:
        columns = slice(int(filled[0]), int(filled[-1]) + 1)
    return columns, np.ascontiguousarray(block[:, filled])


def plain_numbers(values: Sequence[Any]) -> Floats | None:
    """The values as an array, if all of them are plain integers and floats that a double can hold."""
    if not _PLAIN_NUMBERS.issuperset(map(type, values)):
        return None
    try:
        return np.array(values, dtype=np.float64)
    except OverflowError:
        return None
