"""Shapes of predictions, and what follows from a shape.

Predictions are (n,) probabilities of label 1, (n, classes) probabilities, (n,) numbers, or (n, 4) forecasts: value,
lower bound, upper bound, and the scale by which errors are divided.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats

VALUE, LOWER, UPPER, SCALE = range(4)  # columns of forecasts
QUANTILES = (0.1, 0.9)  # quantiles that the bounds of a forecast are meant to be


def values(predicted: Floats) -> Floats:
    """(n,) the predicted numbers, of (n,) numbers or (n, 4) forecasts."""
    return predicted if predicted.ndim == 1 else predicted[:, VALUE]


def decisions(predicted: Floats, threshold: float) -> npt.NDArray[np.int64]:
    """(n,) the index of the decided class.

    Among several classes the most probable one; among two, label 1 at the threshold or above.
    """
    return np.asarray(predicted.argmax(axis=1) if predicted.ndim > 1 else predicted >= threshold, dtype=np.int64)


def normalised(probabilities: npt.NDArray[np.floating]) -> Floats:
    """(rows, classes) probabilities whose rows sum to 1; the libraries compute in single precision.

    The sum of a row depends on the layout in memory, so rows are contiguous: alone or beside others, one result.
    """
    rows = np.ascontiguousarray(probabilities, dtype=np.float64)
    return np.asarray(rows / rows.sum(axis=1, keepdims=True), dtype=np.float64)


def class_shares(sums: Floats) -> Floats:
    """(rows, classes) each number divided by the sum of its row, which is added up from the first class to the last.

    >>> class_shares(np.asarray([[3.0, 1.0]])).tolist()
    [[0.75, 0.25]]
    """
    return np.asarray(sums / sequential_sum(sums))


def sequential_sum(columns: npt.NDArray[np.floating]) -> Floats:
    """(rows, 1) sums in double precision, from the first column to the last."""
    total = np.zeros(len(columns))
    for column in columns.T:
        total += column
    return total[:, None]


def side_by_side(predicted: Sequence[Floats]) -> Floats:
    """(rows, columns) several predictions of the same rows: a column for each (rows,), and one for each class.

    >>> side_by_side([np.asarray([0.25, 0.5]), np.asarray([[0.1, 0.9], [0.2, 0.8]])]).tolist()
    [[0.25, 0.1, 0.9], [0.5, 0.2, 0.8]]
    """
    return np.column_stack([np.asarray(values, dtype=np.float64) for values in predicted])


def weighted_average(predicted: Sequence[Floats], weights: Sequence[float]) -> Floats:
    """The weighted average of the members' predictions, of (rows,) or (rows, classes).

    It is a sum in the order of the members, number by number, so a row has one result, alone or beside others.
    """
    blended = np.zeros_like(predicted[0], dtype=np.float64)
    for values, weight in zip(predicted, weights, strict=True):
        blended += weight * np.asarray(values, dtype=np.float64)
    return blended
