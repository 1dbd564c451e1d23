"""Early stopping: find the boosting rounds on the newest rows, then fit on all rows."""

from abc import abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils.class_weight import compute_sample_weight

from lakehouse.arrays import Floats
from scoring.tasks import TASKS

VALIDATION_SHARE = 0.15  # of the rows, the newest ones
PATIENCE = 30  # boosting rounds without a gain on the validation rows before fitting stops


class EarlyStoppingBooster(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """A booster of one library with early stopping.

    Rows come in order of time. The booster is fitted on the older rows until it stops improving on the newest ones.
    It is then fitted on all rows with as many boosting rounds, since drift makes the newest rows the most valuable.
    If the older rows lack a class, there is no early stopping.

    Attributes:
        library: package of the booster.
        task: name of the task.
        rounds: upper limit of the boosting rounds.
        options: further options of the library.
        categorical: columns that are category indices.
        model_: the library's fitted model.
        rounds_: its boosting rounds.
    """

    library: ClassVar[str]

    def __init__(
        self, task: str, rounds: int, options: dict[str, Any], categorical: tuple[int, ...], seed: int
    ) -> None:
        self.task = task
        self.rounds = rounds
        self.options = options
        self.categorical = categorical
        self.seed = seed

    @abstractmethod
    def _fitted(self, rows: "WeightedRows", rounds: int, validation: "WeightedRows | None") -> Any:
        """The library's model after so many boosting rounds; with validation rows it may stop early."""

    @abstractmethod
    def _best_rounds(self, model: Any) -> int:
        """Boosting rounds at which an early-stopped model was best on its validation rows."""

    @abstractmethod
    def _prepared(self, x: Floats) -> Any:
        """Rows in the library's format."""

    @abstractmethod
    def _error(self) -> type[Exception]:
        """The library's error for rows or options that it refuses."""

    def fit(self, x: Floats, y: npt.NDArray[Any], sample_weight: Floats | None = None) -> Self:
        """Find the boosting rounds, then fit on all rows.

        Raises:
            ValueError: the library cannot learn from these rows. It replaces the errors of the libraries.
        """
        try:
            self._fit(WeightedRows(x, y, sample_weight))
        except self._error() as err:
            raise ValueError(f"{self.library} cannot learn from these rows: {err}") from err
        return self

    def _fit(self, rows: "WeightedRows") -> None:
        self.classes_ = np.unique(rows.y)
        older, newest = rows.split_at(int(len(rows.y) * (1 - VALIDATION_SHARE)))
        self.rounds_ = self.rounds
        if not TASKS[self.task].predicts_classes or len(np.unique(older.y)) == len(self.classes_):
            self.rounds_ = max(1, self._best_rounds(self._fitted(older, self.rounds, newest)))
        self.model_ = self._fitted(rows, self.rounds_, None)

    def predict(self, x: Floats) -> npt.NDArray[Any]:
        return np.asarray(self.model_.predict(self._prepared(x))).ravel()

    def predict_proba(self, x: Floats) -> Floats:
        probabilities = np.asarray(self.model_.predict_proba(self._prepared(x)), dtype=np.float64)
        # The libraries compute in single precision, so the sum of a row may differ from 1 in its last digits.
        return np.asarray(probabilities / probabilities.sum(axis=1, keepdims=True), dtype=np.float64)


class WeightedRows:
    """Rows in order of time, with labels and row weights."""

    def __init__(self, x: Floats, y: npt.NDArray[Any], weights: Floats | None) -> None:
        self.x, self.y, self.weights = x, y, weights

    def balanced(self) -> "WeightedRows":
        """The rows with balanced class weights, multiplied by their own weights."""
        weights = compute_sample_weight("balanced", self.y)
        return WeightedRows(self.x, self.y, weights if self.weights is None else weights * self.weights)

    def split_at(self, row: int) -> "tuple[WeightedRows, WeightedRows]":
        """The rows before the given one, and the rows from it on."""
        before, after = (None, None) if self.weights is None else (self.weights[:row], self.weights[row:])
        return WeightedRows(self.x[:row], self.y[:row], before), WeightedRows(self.x[row:], self.y[row:], after)
