"""64-bit integers between numpy and Arrow, without a copy.

`pyarrow.array` and `to_numpy` import pandas, which takes longer than the work of a small join.
"""

from typing import cast

import numpy as np
import pyarrow as pa

from lakehouse.arrays import Integers, Mask


def to_arrow(integers: Integers, known: Mask | None = None) -> pa.Array:
    """(n,) the integers as an Arrow array, NULL where `known` (n,) is False.

    >>> to_arrow(np.asarray([5, -1]), np.asarray([True, False])).to_pylist()
    [5, None]
    """
    valid = None if known is None else pa.py_buffer(np.packbits(known, bitorder="little"))
    values = pa.py_buffer(np.ascontiguousarray(integers, dtype=np.int64))
    return pa.Array.from_buffers(pa.int64(), len(integers), [valid, values])


def to_numpy(integers: pa.Array) -> Integers:
    """(n,) the integers of an Arrow array, signed or not.

    Raises:
        pyarrow.ArrowTypeError: one is NULL.
    """
    return cast(Integers, np.from_dlpack(integers))
