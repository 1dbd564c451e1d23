"""The seasonal naive forecast: a later time repeats the last known one of its season."""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

from lakehouse.arrays import Floats


class SeasonalNaive(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Predicts the value of one column, as a linear model with one weight, so that it compiles like one.

    Attributes:
        season: the column with the last known value of the same season; None if the rows lack it.
    """

    def __init__(self, season: int | None) -> None:
        self.season = season

    def fit(self, x: Floats, _y: Floats) -> Self:
        """Note the number of columns; nothing is learned.

        Raises:
            ValueError: the rows lack the season.
        """
        if self.season is None:
            raise ValueError("the season, which is the forecast, is left out")
        self.coef_ = np.zeros(x.shape[1])
        self.coef_[self.season] = 1.0
        self.intercept_ = 0.0
        return self

    def predict(self, x: Any) -> Floats:
        """(rows,) the values of the column."""
        return np.asarray(x[:, self.season], dtype=np.float64)
