"""Array types by element type."""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Indices = npt.NDArray[np.intp]
Times = npt.NDArray[np.datetime64]
Mask = npt.NDArray[np.bool_]


def is_known(values: npt.NDArray[Any]) -> Mask:
    """(n,) True for finite numbers, and for texts.

    >>> is_known(np.asarray([1.0, np.nan])), is_known(np.asarray(["", None], dtype=object))
    (array([ True, False]), array([ True, False]))
    """
    if values.dtype == object:
        return np.asarray([isinstance(value, str) for value in values], dtype=np.bool_)
    return np.asarray(np.isfinite(values))
