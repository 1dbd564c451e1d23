"""Early stopping: find the boosting rounds on validation rows, then fit on all rows."""

from abc import abstractmethod
from time import monotonic
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils.class_weight import compute_sample_weight

from lakehouse.arrays import Floats
from scoring.predictions import normalised
from scoring.tasks import TASKS

USUAL_ROUNDS = 300  # limit of the boosting rounds unless a search raises it
MOST_PATIENCE = 200
VALIDATION_SHARE = 0.15  # of the rows
PATIENCE = 30  # boosting rounds without a gain on the validation rows before fitting stops


def first_validation_row(rows: int) -> int:
    """The row from which on rows in order of time validate."""
    return int(rows * (1 - VALIDATION_SHARE))


class FitOutOfTime(Exception):
    """A fit did not end before its deadline."""


class EarlyStoppingBooster(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """A booster of one library with early stopping.

    The booster is fitted on a part of the rows until it stops improving on the validation rows. It is then fitted on
    all rows with as many boosting rounds, since drift makes the newest rows the most valuable. If the rows without
    the validation rows lack a class, there is no early stopping.

    Attributes:
        library: package of the booster.
        task: name of the task.
        rounds: upper limit of the boosting rounds.
        options: further options of the library.
        categorical: columns that are category indices.
        deadline: time of `monotonic` after which a fit ends with an error; None for a fit of any length.
        model_: the library's fitted model.
        rounds_: its boosting rounds.
    """

    library: ClassVar[str]
    deadline: float | None = None

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

    def fit(
        self,
        x: Floats,
        y: npt.NDArray[Any],
        sample_weight: Floats | None = None,
        validation: npt.NDArray[np.bool_] | None = None,
    ) -> Self:
        """Find the boosting rounds, then fit on all rows.

        Args:
            validation: (rows,) True for the validation rows. None: rows are in order of time, and the last ones
                validate.

        Raises:
            ValueError: the library cannot learn from these rows. It replaces the errors of the libraries.
            FitOutOfTime: the deadline is over.
        """
        try:
            self._fit(WeightedRows(x, y, sample_weight, validation))
        except self._error() as err:
            raise ValueError(f"{self.library} cannot learn from these rows: {err}") from err
        return self

    def _fit(self, rows: "WeightedRows") -> None:
        self.classes_ = np.unique(rows.y)
        remaining, validation = rows.split()
        self.rounds_ = self.rounds
        if not TASKS[self.task].predicts_classes or len(np.unique(remaining.y)) == len(self.classes_):
            self.rounds_ = max(1, self._best_rounds(self._fitted(remaining, self.rounds, validation)))
        self.model_ = self._fitted(rows, self.rounds_, None)

    @property
    def is_late(self) -> bool:
        """True after the deadline; the libraries ask after each boosting round."""
        return self.deadline is not None and monotonic() > self.deadline

    def require_time(self) -> None:
        """Raise FitOutOfTime after the deadline."""
        if self.is_late:
            raise FitOutOfTime(f"{self.library} was stopped within a fit: the search has no time for it")

    @property
    def patience(self) -> int:
        """Boosting rounds without a gain before fitting stops: more for a small learning rate and a raised limit."""
        rate = self.options.get("learning_rate")
        if self.rounds <= USUAL_ROUNDS or not rate:
            return PATIENCE
        return min(max(PATIENCE, round(3 / float(rate))), MOST_PATIENCE)

    def predict(self, x: Floats) -> npt.NDArray[Any]:
        return np.asarray(self.model_.predict(self._prepared(x))).ravel()

    def predict_proba(self, x: Floats) -> Floats:
        return normalised(self.model_.predict_proba(self._prepared(x)))


class WeightedRows:
    """Rows with labels and row weights; `validation` as for `EarlyStoppingBooster.fit`."""

    def __init__(
        self,
        x: Floats,
        y: npt.NDArray[Any],
        weights: Floats | None,
        validation: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        self.x, self.y, self.weights, self.validation = x, y, weights, validation

    def balanced(self) -> "WeightedRows":
        """The rows with balanced class weights, multiplied by their own weights."""
        weights = compute_sample_weight("balanced", self.y)
        weighted = weights if self.weights is None else weights * self.weights
        return WeightedRows(self.x, self.y, weighted, self.validation)

    def split(self) -> "tuple[WeightedRows, WeightedRows]":
        """The rows without the validation rows, and the validation rows."""
        if self.validation is not None:
            return self._at(~self.validation), self._at(self.validation)
        row = first_validation_row(len(self.y))
        return self._at(slice(None, row)), self._at(slice(row, None))

    def _at(self, index: slice | npt.NDArray[np.bool_]) -> "WeightedRows":
        return WeightedRows(self.x[index], self.y[index], None if self.weights is None else self.weights[index])
