"""A forecaster: a model of scaled labels that predicts in the unit of the label, with bounds."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from lakehouse.arrays import Floats


class Forecaster(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """A fitted model of (label - level) / scale, so that large and small series teach it alike.

    Attributes:
        model: the fitted model; it takes the same rows.
        columns: matrix columns of the level and the scale of a row, and of its steps after the origin.
        lower, upper: (steps,) bounds at each step, in scales from the value; the last holds for later steps too.
    """

    def __init__(self, model: Any, columns: Sequence[int], lower: Floats, upper: Floats) -> None:
        self.model = model
        self.columns = columns
        self.lower = lower
        self.upper = upper

    def fit(self, _x: Any, _y: npt.NDArray[Any]) -> Self:
        """Return the forecaster unchanged: its model is fitted."""
        return self

    def predict(self, x: Any) -> Floats:
        """(rows, 4) value, lower bound, upper bound and scale."""
        level, scale, step = (column(x, index) for index in self.columns)
        value = level + scale * np.asarray(self.model.predict(x), dtype=np.float64)
        steps = steps_of(step, len(self.lower))
        return np.stack([value, value + scale * self.lower[steps], value + scale * self.upper[steps], scale], axis=1)

    def __sklearn_is_fitted__(self) -> bool:
        return True


def column(x: Any, index: int) -> Floats:
    """(rows,) a column of a dense or sparse matrix."""
    chosen: Any = x[:, [index]]
    return np.asarray(chosen.toarray() if hasattr(chosen, "toarray") else chosen, dtype=np.float64)[:, 0]


def steps_of(steps: Floats, known: int) -> npt.NDArray[np.intp]:
    """(rows,) index of each row's bounds."""
    return np.clip(steps, 0, known - 1).astype(np.intp)
