"""Writers of whole columns: the fast path of a request with many rows.

They accept a part of what the row writers accept, and write the same numbers: both take them from the same cells.
Code writers take columns that are checked already, as codes (`field_types`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats
from scoring.encodings.row_writers import RowCells

ColumnWriter = Callable[[Sequence[Any], Floats], bool]  # False: the row writers decide about each value
CodeWriter = Callable[[npt.NDArray[Any], Floats], None]  # (rows,) numbers, or places among choices
_PLAIN_NUMBERS: frozenset[type] = frozenset({int, float})
_BOOLEANS: frozenset[type] = frozenset({bool})
_TEXT: frozenset[type] = frozenset({str, type(None)})


def number_writer(index: int | None, low: float, high: float, *, whole: bool) -> ColumnWriter:
    """Writer of numbers within bounds to one feature; None if the model ignores it."""

    def write(values: Sequence[Any], matrix: Floats) -> bool:
        kinds = set(map(type, values))
        if not kinds <= _PLAIN_NUMBERS or not low <= min(values) <= max(values) <= high:
            return False
        numbers = np.fromiter(values, np.float64, len(values))
        # A NaN has no order: it may hide from the bounds, but it equals nothing.
        if float in kinds and (numbers != (np.trunc(numbers) if whole else numbers)).any():
            return False
        if index is not None:
            matrix[:, index] = numbers
        return True

    return write


def flag_writer(index: int | None) -> ColumnWriter:
    """Writer of booleans to one feature; None if the model ignores it."""

    def write(values: Sequence[Any], matrix: Floats) -> bool:
        if set(map(type, values)) != _BOOLEANS:
            return False
        if index is not None:
            matrix[:, index] = np.fromiter(values, np.bool_, len(values))
        return True

    return write


def category_writer(known: Mapping[Any, RowCells], unknown: RowCells | None, features: int) -> ColumnWriter:
    """Writer for known categories and null; any other text is `unknown`, or refused if that is None."""
    place_of = {value: place for place, value in enumerate(known)}
    write_places = place_writer([*known.values(), unknown or ()], features)
    last = len(known)

    def write(values: Sequence[Any], matrix: Floats) -> bool:
        try:
            places = np.fromiter(map(place_of.__getitem__, values), np.intp, len(values))
        except KeyError:
            if unknown is None or not _TEXT.issuperset(map(type, values)):
                return False
            places = np.fromiter((place_of.get(value, last) for value in values), np.intp, len(values))
        write_places(places, matrix)
        return True

    return write


def place_writer(cells: Sequence[RowCells], features: int) -> CodeWriter:
    """Writer of the cells at each place; place -1 is the last."""
    columns, block = cells_block(cells, features)

    def write(places: npt.NDArray[Any], matrix: Floats) -> None:
        matrix[:, columns] = block.take(places, axis=0)

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
