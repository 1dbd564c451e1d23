"""A blend: what several fitted pipelines predict, averaged by weights."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.base import BaseEstimator

from lakehouse.arrays import Floats
from scoring.encoder import MatrixFormat
from scoring.predictions import Task


class Blend(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Fitted pipelines as one, on dense rows; those that take sparse ones get them as the encoder makes them.

    Attributes:
        members: the fitted pipelines.
        takes: the form of rows that each takes.
        weights: of each; they sum to 1.
        sizes: of each dense column that is an index, how many categories it has.
    """

    def __init__(
        self,
        task: Task,
        members: Sequence[Any],
        takes: Sequence[MatrixFormat],
        weights: Sequence[float],
        sizes: Mapping[int, int],
    ) -> None:
        self.task = task
        self.members = members
        self.takes = takes
        self.weights = weights
        self.sizes = sizes

    @property
    def classes_(self) -> npt.NDArray[Any]:
        return np.asarray(self.members[0].classes_)

    def fit(self, _x: Floats, _y: npt.NDArray[Any]) -> Self:
        """The blend as it is: its members were fitted, each on rows of its own form and with weights of its own."""
        return self

    def predict(self, x: Floats) -> npt.NDArray[Any]:
        """(rows,) numbers of a regression, and else the most probable class of each row."""
        if self.task != "regression":
            return np.asarray(self.classes_[self.predict_proba(x).argmax(axis=1)])
        return averaged([member.predict(rows) for member, rows in self._rows(x)], self.weights)

    def predict_proba(self, x: Floats) -> Floats:
        """(rows, classes) probabilities."""
        return averaged([member.predict_proba(rows) for member, rows in self._rows(x)], self.weights)

    def _rows(self, x: Floats) -> list[tuple[Any, Any]]:
        forms: dict[MatrixFormat, Any] = {"dense": x}
        if "sparse" in self.takes:
            forms["sparse"] = in_blocks(x, self.sizes)
        return [(member, forms[form]) for member, form in zip(self.members, self.takes, strict=True)]

    def __sklearn_is_fitted__(self) -> bool:
        return True


def averaged(predicted: Sequence[Floats], weights: Sequence[float]) -> Floats:
    """What members predict of the same rows, averaged; in the order of the members, so that it repeats itself."""
    blended = np.zeros_like(predicted[0], dtype=np.float64)
    for said, weight in zip(predicted, weights, strict=True):
        blended += weight * said
    return blended


def in_blocks(x: Floats, sizes: Mapping[int, int]) -> sparse.csr_matrix:
    """Dense rows as `Encoder.matrix` has them: an index of n categories as n columns of 0/1, the rest as it is."""
    rows, columns = x.shape
    widths = np.array([sizes.get(place, 1) for place in range(columns)])
    is_index = np.isin(np.arange(columns), list(sizes))
    places = (np.cumsum(widths) - widths) + np.where(is_index, x, 0)
    ends = np.arange(0, rows * columns + 1, columns)
    shape = (rows, int(widths.sum()))
    matrix = sparse.csr_matrix((np.where(is_index, 1.0, x).ravel(), places.astype(np.int64).ravel(), ends), shape)
    matrix.eliminate_zeros()
    return matrix
