"""How many rounds a boosted model takes: found on the newest of its rows, then fitted on all of them."""

from abc import abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils.class_weight import compute_sample_weight

from lakehouse.arrays import Floats
from scoring.predictions import Task

SHARE = 0.15  # of the rows, the newest, decide on the rounds
PATIENCE = 30  # rounds without a gain on them, after which no more are tried


class EarlyStoppingBooster(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """A booster of some library, early-stopped.

    The rows come in order of time. The booster is fitted on the older ones until it no longer gets better on the
    newest, and then again on all of them with as many rounds: the newest rows are the ones that drift leaves true.
    Where the older rows lack a class, all `rounds` are taken.

    Attributes:
        library: the package that it is of.
        model_: the library's fitted model.
        rounds_: how many rounds it took.
    """

    library: ClassVar[str]

    def __init__(
        self, task: Task, rounds: int, options: dict[str, Any], categorical: tuple[int, ...], seed: int
    ) -> None:
        self.task = task
        self.rounds = rounds
        self.options = options
        self.categorical = categorical
        self.seed = seed

    @abstractmethod
    def _fitted(self, rows: "WeightedRows", rounds: int, judges: "WeightedRows | None") -> Any:
        """The library's model after so many rounds, or fewer where `judges` are given and gain no more."""

    @abstractmethod
    def _rounds_of(self, model: Any) -> int:
        """After how many rounds an early-stopped model was best on its judges."""

    @abstractmethod
    def _prepared(self, x: Floats) -> Any:
        """Rows as the library's model takes them."""

    @abstractmethod
    def _error(self) -> type[Exception]:
        """What the library raises at rows or options that it cannot learn from."""

    def fit(self, x: Floats, y: npt.NDArray[Any], sample_weight: Floats | None = None) -> Self:
        """Find the rounds, then fit on all rows.

        Raises:
            ValueError: the library cannot learn from these rows; its own errors are of many kinds.
        """
        try:
            self._fit(WeightedRows(x, y, sample_weight))
        except self._error() as err:
            raise ValueError(f"{self.library} cannot learn from these rows: {err}") from err
        return self

    def _fit(self, rows: "WeightedRows") -> None:
        self.classes_ = np.unique(rows.y)
        older, newest = rows.cut(int(len(rows.y) * (1 - SHARE)))
        self.rounds_ = self.rounds
        if self.task == "regression" or len(np.unique(older.y)) == len(self.classes_):
            self.rounds_ = max(1, self._rounds_of(self._fitted(older, self.rounds, newest)))
        self.model_ = self._fitted(rows, self.rounds_, None)

    def predict(self, x: Floats) -> npt.NDArray[Any]:
        return np.asarray(self.model_.predict(self._prepared(x))).ravel()

    def predict_proba(self, x: Floats) -> Floats:
        said = np.asarray(self.model_.predict_proba(self._prepared(x)), dtype=np.float64)
        # Of single precision, they sum to 1 up to its last digits only.
        return np.asarray(said / said.sum(axis=1, keepdims=True), dtype=np.float64)


class WeightedRows:
    """Rows to fit, in order of time."""

    def __init__(self, x: Floats, y: npt.NDArray[Any], weights: Floats | None) -> None:
        self.x, self.y, self.weights = x, y, weights

    def balanced(self) -> "WeightedRows":
        """The rows with weights by which every class counts the same, times those that they have."""
        weights = compute_sample_weight("balanced", self.y)
        return WeightedRows(self.x, self.y, weights if self.weights is None else weights * self.weights)

    def cut(self, place: int) -> "tuple[WeightedRows, WeightedRows]":
        """The rows before a place, and those from it on."""
        weights = (None, None) if self.weights is None else (self.weights[:place], self.weights[place:])
        return WeightedRows(self.x[:place], self.y[:place], weights[0]), WeightedRows(
            self.x[place:], self.y[place:], weights[1]
        )
