"""Array types by element type, and what numpy has no function for."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Indices = npt.NDArray[np.intp]
Times = npt.NDArray[np.datetime64]
Mask = npt.NDArray[np.bool_]
MatrixFormat = Literal["sparse", "dense", "table"]  # input of a learner: that method of `Encoder`, or `matrix`


def is_known(values: npt.NDArray[Any]) -> Mask:
    """(n,) True for finite numbers, for texts, and for rows of (n, numbers) with finite numbers alone.

    >>> is_known(np.asarray([1.0, np.nan])), is_known(np.asarray(["", None], dtype=object))
    (array([ True, False]), array([ True, False]))
    """
    if values.dtype == object:
        return np.asarray([isinstance(value, str) for value in values], dtype=np.bool_)
    finite = np.isfinite(values)
    return np.asarray(finite if values.ndim == 1 else finite.all(axis=1))


def each(function: Callable[[float], float], values: npt.NDArray[np.floating]) -> Floats:
    """A function of one number, applied to each; for a function of `math`, the same bits on every processor.

    >>> from math import exp
    >>> each(exp, np.asarray([0.0, 1.0])).tolist()
    [1.0, 2.718281828459045]
    """
    return np.fromiter(map(function, values.ravel().tolist()), np.float64, values.size).reshape(values.shape)
