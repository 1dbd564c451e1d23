"""A forecaster: a model of scaled labels that predicts in the unit of the label, with bounds."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from lakehouse.arrays import Floats
from scoring.forecasts.scales import bounded_forecasts


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
        predicted = np.asarray(self.model.predict(x), dtype=np.float64)
        return bounded_forecasts(predicted, level, scale, step, (self.lower, self.upper))

    def __sklearn_is_fitted__(self) -> bool:
        return True


def column(x: Any, index: int) -> Floats:
    """(rows,) a column of a dense or sparse matrix."""
    chosen: Any = x[:, [index]]
    return np.asarray(chosen.toarray() if hasattr(chosen, "toarray") else chosen, dtype=np.float64)[:, 0]
