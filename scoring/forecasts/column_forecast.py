"""A forecast that a column of the rows has."""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

from lakehouse.arrays import Floats


class ColumnForecast(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Predicts the value of one column, as a linear model with one weight, so that it compiles like one.

    Attributes:
        column: the column with the forecast, in scales above the level; None if the rows lack it.
    """

    def __init__(self, column: int | None) -> None:
        self.column = column

    def fit(self, x: Floats, _y: Floats) -> Self:
        """Note the number of columns; nothing is learned.

        Raises:
            ValueError: the rows lack the column.
        """
        if self.column is None:
            raise ValueError("the feature that is the forecast is left out")
        self.coef_ = np.zeros(x.shape[1])
        self.coef_[self.column] = 1.0
        self.intercept_ = 0.0
        return self

    def predict(self, x: Any) -> Floats:
        """(rows,) the values of the column."""
        return np.asarray(x[:, self.column], dtype=np.float64)
