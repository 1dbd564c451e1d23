"""Columns of tables whose values are arrays of numbers, all of one length."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lakehouse.errors import LakehouseError


class ArrayRefused(LakehouseError):
    """A column of arrays has no such arrays."""

    @classmethod
    def no_array(cls, column: str, found: object) -> "ArrayRefused":
        return cls(
            f"the column {column} is of type {found}, not an array of numbers",
            hint="Make it an array of floats in its model, or change its encoding; then run: dbt build",
        )

    @classmethod
    def of_length(cls, column: str, found: int, expected: int) -> "ArrayRefused":
        return cls(
            f"an array in the column {column} has {found:,} numbers, not {expected:,}",
            hint="Its encoding names another model than made it. Build it again: dbt build --full-refresh",
        )


def numbers_of(values: pa.Array | pa.ChunkedArray, column: str, length: int) -> npt.NDArray[Any]:
    """(rows, length) the numbers of the arrays of a column, in single precision if it has that; NaN for NULL.

    Raises:
        ArrayRefused: the column has no arrays of this length.
    """
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    kinds = pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list
    if not any(is_kind(array.type) for is_kind in kinds) or not pa.types.is_floating(array.type.value_type):
        raise ArrayRefused.no_array(column, array.type)
    is_null = array.is_null().to_numpy(zero_copy_only=False)
    known = array.drop_null()
    lengths = known.value_lengths().to_numpy(zero_copy_only=False)
    if (lengths != length).any():
        raise ArrayRefused.of_length(column, int(lengths[lengths != length][0]), length)
    kind = np.float32 if pa.types.is_float32(array.type.value_type) else np.float64
    numbers = np.full((len(array), length), np.nan, dtype=kind)
    numbers[~is_null] = known.flatten().to_numpy(zero_copy_only=False).reshape(len(known), length)
    return numbers
