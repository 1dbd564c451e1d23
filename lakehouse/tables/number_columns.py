"""Columns of tables that are numbers, as arrays."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def number_array(column: pa.Array | pa.ChunkedArray) -> npt.NDArray[Any]:
    """Integers in their own width, those that are 0 and 1 alone in one byte; other types as doubles."""
    plain = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_integer(plain.type) and not plain.null_count:
        integers = np.asarray(plain.to_numpy(zero_copy_only=False))
        are_flags = integers.itemsize > 1 and len(integers) and integers.min() >= 0 and integers.max() <= 1
        return integers.astype(np.int8) if are_flags else integers
    # NULL becomes NaN. Callers also count infinite values as missing.
    numbers = np.asarray(plain.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    if np.isnan(numbers).any():
        numbers = np.where(np.isnan(numbers), np.nan, numbers)  # one NaN of the many, for equal fingerprints
    return numbers
