"""A logistic regression of Spark ML, as its coefficients."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin

from lakehouse.arrays import Floats


class SparkLogistic(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Predicts without Spark: the sums are Spark's, bit by bit for sparse rows.

    Spark computes a probability of label 1 as 1 - 1 / (1 + exp(sum)). Here it is 1 / (1 + exp(-sum)), which is more
    exact near 0; the two differ by less than 1e-15.

    Attributes:
        coef_: (1, columns) for two classes, (classes, columns) for more.
        intercept_: one for each row of `coef_`.
    """

    def __init__(self, coef_: Floats, intercept_: Floats) -> None:
        self.coef_ = coef_
        self.intercept_ = intercept_

    @property
    def classes_(self) -> npt.NDArray[Any]:
        return np.arange(max(2, len(self.coef_)))

    def fit(self, _x: Any, _y: object = None) -> Self:
        """Return the model unchanged: Spark has fitted it."""
        return self

    def predict_proba(self, x: Any) -> Floats:
        """(rows, classes) probabilities of sparse or dense rows."""
        sums = np.asarray(x @ self.coef_.T) + self.intercept_
        if len(self.coef_) == 1:
            positive = expit(sums[:, 0])
            return np.stack([1 - positive, positive], axis=1)
        powers = np.exp(sums - sums.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    def predict(self, x: Any) -> npt.NDArray[Any]:
        """(rows,) the most probable class."""
        return np.asarray(self.predict_proba(x).argmax(axis=1))

    def __sklearn_is_fitted__(self) -> bool:
        return True
