"""Links: from the summed leaves of a tree ensemble to predictions, as the library of the trees computes them.

Exponentials are those of the C library, one number at a time. numpy's vectorised ones differ from them in the last
bit, and the libraries call the C library; scikit-learn's softmax is the exception and calls numpy. Sums go from the
first class to the last, whatever the number of rows. So a row has one prediction, alone or beside others.
"""

import ctypes
from collections.abc import Callable, Mapping
from math import exp, inf, log

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats, each
from scoring.predictions import class_shares, normalised, sequential_sum

Link = Callable[[Floats], Floats]  # (rows, outputs) sums -> (rows,) or (rows, classes) predictions


def exponential(value: float) -> float:
    """The exponential of the C library; infinity where a double overflows."""
    try:
        return exp(value)
    except OverflowError:
        return inf


def expit(value: float) -> float:
    """1 / (1 + exp(-value)), by the formula of SciPy, LightGBM and CatBoost."""
    return 1.0 / (1.0 + exponential(-value))


def expit_each(values: npt.NDArray[np.floating]) -> Floats:
    """`expit` of each value: the exponentials one by one, the rest as arrays, where each operation is exact alike."""
    return np.asarray(1.0 / (1.0 + _exponentials(-values)))


def _exponentials(values: npt.NDArray[np.floating]) -> Floats:
    """`exponential` of each value."""
    try:
        return each(exp, values)
    except OverflowError:
        return each(exponential, values)


def _single(name: str, double: Callable[[float], float]) -> Callable[[float], float]:
    """A function of the C library in single precision. Without one, the rounded double: one unit in the last place
    apart in 1 of 1,000."""
    try:
        function = ctypes.CDLL(None)[name]
    except (AttributeError, OSError, TypeError):
        return lambda value: float(np.float32(double(value)))
    function.restype, function.argtypes = ctypes.c_float, [ctypes.c_float]
    single: Callable[[float], float] = function
    return single


_expf, _logf = _single("expf", exponential), _single("logf", log)


def single_log_odds(share: np.float32) -> float:
    """The sum with which XGBoost starts for a share of label 1: by the C library's logarithm.

    numpy's logarithm in single precision differs from it in the last bit for one share in six.

    >>> single_log_odds(np.float32(0.63422245))
    0.550374448299408
    """
    one = np.float32(1)
    return -_logf(float(one / share - one))


def _identity(sums: Floats) -> Floats:
    return np.asarray(sums[:, 0], dtype=np.float64)


def _shares(sums: Floats) -> Floats:
    return np.asarray(sums[:, 0] if sums.shape[1] == 1 else sums, dtype=np.float64)


def _class_shares(sums: Floats) -> Floats:
    """A forest of Spark: each class's part of the sum; for two classes that of label 1."""
    shares = class_shares(sums)
    return shares[:, 1] if sums.shape[1] == 2 else shares


def _logistic(sums: Floats) -> Floats:
    return expit_each(sums[:, 0])


def _softmax(sums: Floats) -> Floats:
    """LightGBM: exponentials of the C library; then the sum of each row is made 1, as the fitted estimator does."""
    powers = _exponentials(sums - sums.max(axis=1, keepdims=True))
    return normalised(powers / sequential_sum(powers))


def _numpy_softmax(sums: Floats) -> Floats:
    """scikit-learn: exponentials of numpy."""
    powers = np.exp(sums - sums.max(axis=1, keepdims=True))
    return np.asarray(powers / sequential_sum(powers))


def _single_logistic(sums: Floats) -> Floats:
    """XGBoost: 1 / (exp(-x) + 1 + 1e-16) in single precision; then both classes are made to sum to 1 in double."""
    one = np.float32(1)
    powers = each(_expf, -sums[:, 0]).astype(np.float32)
    positive = one / (powers + one + np.float32(1e-16))
    return both_normalised(positive)


def _single_softmax(sums: Floats) -> Floats:
    """XGBoost: exponentials and quotients in single precision, their sum in double."""
    powers = each(_expf, sums - sums.max(axis=1, keepdims=True)).astype(np.float32)
    shares: npt.NDArray[np.float32] = np.divide(powers, sequential_sum(powers).astype(np.float32))
    return normalised(shares)


def both_normalised(positive: npt.NDArray[np.float32]) -> Floats:
    """(rows,) probabilities of label 1 in single precision, divided by the sum with those of label 0."""
    negative = (np.float32(1) - positive).astype(np.float64)
    return np.asarray(positive / (negative + positive), dtype=np.float64)


LINKS: Mapping[str, Link] = {
    "identity": _identity,
    "shares": _shares,
    "class_shares": _class_shares,
    "logistic": _logistic,
    "softmax": _softmax,
    "numpy_softmax": _numpy_softmax,
    "single_logistic": _single_logistic,
    "single_softmax": _single_softmax,
}
