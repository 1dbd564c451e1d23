"""A blend: the weighted average of the predictions of several fitted pipelines."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.base import BaseEstimator

from lakehouse.arrays import Floats, MatrixFormat
from scoring.predictions import weighted_average
from scoring.tasks import TASKS


class Blend(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Fitted pipelines as one model on dense rows; members with sparse format get the rows one-hot encoded.

    Attributes:
        task: name of the task.
        members: the fitted pipelines.
        matrix_formats: matrix format of each member.
        weights: weight of each member; they sum to 1.
        sizes: count of categories of each category index, by its dense column.
    """

    def __init__(
        self,
        task: str,
        members: Sequence[Any],
        matrix_formats: Sequence[MatrixFormat],
        weights: Sequence[float],
        sizes: Mapping[int, int],
    ) -> None:
        self.task = task
        self.members = members
        self.matrix_formats = matrix_formats
        self.weights = weights
        self.sizes = sizes

    @property
    def classes_(self) -> npt.NDArray[Any]:
        return np.asarray(self.members[0].classes_)

    def fit(self, _x: Floats, _y: npt.NDArray[Any]) -> Self:
        """Return the blend unchanged: its members are fitted, each with its own matrix format and row weights."""
        return self

    def predict(self, x: Floats) -> npt.NDArray[Any]:
        """(rows,) the most probable class of each row, or numbers for a task without classes."""
        if TASKS[self.task].predicts_classes:
            return np.asarray(self.classes_[self.predict_proba(x).argmax(axis=1)])
        return weighted_average([member.predict(rows) for member, rows in self._rows(x)], self.weights)

    def predict_proba(self, x: Floats) -> Floats:
        """(rows, classes) probabilities."""
        return weighted_average([member.predict_proba(rows) for member, rows in self._rows(x)], self.weights)

    def _rows(self, x: Floats) -> list[tuple[Any, Any]]:
        return list(zip(self.members, inputs_of(x, self.matrix_formats, self.sizes), strict=True))

    def __sklearn_is_fitted__(self) -> bool:
        return True


def inputs_of(x: Floats, matrix_formats: Sequence[MatrixFormat], sizes: Mapping[int, int]) -> list[Any]:
    """Dense rows in each of the matrix formats.

    Args:
        sizes: count of categories of each category index, by its dense column.
    """
    inputs: dict[MatrixFormat, Any] = {"dense": x}
    if "sparse" in matrix_formats:
        inputs["sparse"] = one_hot(x, sizes)
    return [inputs[each] for each in matrix_formats]


def one_hot(x: Floats, sizes: Mapping[int, int]) -> sparse.csr_matrix:
    """The sparse matrix of dense rows as `Encoder.matrix` builds it: a category index becomes 0/1 columns."""
    rows, columns = x.shape
    widths = np.array([sizes.get(column, 1) for column in range(columns)])
    is_index = np.isin(np.arange(columns), list(sizes))
    positions = (np.cumsum(widths) - widths) + np.where(is_index, x, 0)
    ends = np.arange(0, rows * columns + 1, columns)
    shape = (rows, int(widths.sum()))
    matrix = sparse.csr_matrix((np.where(is_index, 1.0, x).ravel(), positions.astype(np.int64).ravel(), ends), shape)
    matrix.eliminate_zeros()
    return matrix
