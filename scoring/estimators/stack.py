"""A stack: an estimator that reads the features and the predictions of other fitted pipelines."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from lakehouse.arrays import Floats, MatrixFormat
from scoring.estimators.blend import inputs_of
from scoring.predictions import side_by_side
from scoring.tasks import TASKS


class Stack(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Fitted pipelines in two layers as one model on dense rows; see `sklearn.ensemble.StackingClassifier`.

    Attributes:
        task: name of the task.
        bases: the fitted pipelines of the first layer.
        matrix_formats: matrix format of each base.
        final_estimator: fitted pipeline on the dense rows with the predictions of the bases as further columns.
        sizes: count of categories of each category index, by its dense column.
    """

    def __init__(
        self,
        task: str,
        bases: Sequence[Any],
        matrix_formats: Sequence[MatrixFormat],
        final_estimator: Any,
        sizes: Mapping[int, int],
    ) -> None:
        self.task = task
        self.bases = bases
        self.matrix_formats = matrix_formats
        self.final_estimator = final_estimator
        self.sizes = sizes

    @property
    def classes_(self) -> npt.NDArray[Any]:
        return np.asarray(self.final_estimator.classes_)

    def fit(self, _x: Floats, _y: npt.NDArray[Any]) -> Self:
        """Return the stack unchanged: its layers are fitted, the second one on out-of-fold predictions."""
        return self

    def predict(self, x: Floats) -> npt.NDArray[Any]:
        """(rows,) the most probable class of each row, or numbers for a task without classes."""
        return np.asarray(self.final_estimator.predict(self._rows(x)))

    def predict_proba(self, x: Floats) -> Floats:
        """(rows, classes) probabilities."""
        return np.asarray(self.final_estimator.predict_proba(self._rows(x)))

    def _rows(self, x: Floats) -> Floats:
        """(rows, features and predictions) of (rows, features)."""
        task, inputs = TASKS[self.task], inputs_of(x, self.matrix_formats, self.sizes)
        predicted = [task.predict(base, rows) for base, rows in zip(self.bases, inputs, strict=True)]
        return np.hstack([x, side_by_side(predicted)])

    def __sklearn_is_fitted__(self) -> bool:
        return True
