"""Trees of Spark ML: a random forest or gradient boosting, as arrays of nodes."""

from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from sklearn.base import BaseEstimator

from lakehouse.arrays import Floats
from scoring.predictions import class_shares
from scoring.tasks import TASKS

LEAF = -1  # in `feature`
Ensemble = Literal["forest", "boosting"]


class SparkTrees(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Predicts without Spark: compares doubles, and sums the leaves in the order of the trees, as Spark does.

    A forest of classes adds the shares of each leaf, and divides by their sum. A forest of numbers adds the numbers,
    and divides by the number of trees. Boosting adds the numbers times the weight of their tree; for classes a leaf
    holds twice that, the log-odds of label 1.

    Attributes:
        task: name of the task.
        ensemble: `forest` or `boosting`.
        roots: (trees,) the first node of each tree.
        feature: (nodes,) the column that a node compares; LEAF for a leaf.
        threshold: (nodes,) a row goes left if its value is at most this.
        children: (nodes, 2) the nodes at the left and at the right.
        values: (nodes, outputs) of leaves.
    """

    def __init__(  # noqa: PLR0913, PLR0917  (the arrays of a tree)
        self,
        task: str,
        ensemble: Ensemble,
        roots: npt.NDArray[np.int64],
        feature: npt.NDArray[np.int64],
        threshold: Floats,
        children: npt.NDArray[np.int64],
        values: Floats,
    ) -> None:
        self.task = task
        self.ensemble = ensemble
        self.roots = roots
        self.feature = feature
        self.threshold = threshold
        self.children = children
        self.values = values

    @property
    def link(self) -> str:
        """Name of the link in `scoring.compiled.links`, from the sums of leaves to predictions."""
        if not TASKS[self.task].predicts_classes:
            return "identity"
        return "class_shares" if self.ensemble == "forest" else "logistic"

    @property
    def divisor(self) -> float:
        """Divides the sums before the link."""
        is_mean = self.ensemble == "forest" and not TASKS[self.task].predicts_classes
        return float(len(self.roots)) if is_mean else 1.0

    @property
    def classes_(self) -> npt.NDArray[Any]:
        return np.arange(max(2, self.values.shape[1]))

    def fit(self, _x: Any, _y: object = None) -> Self:
        """Return the model unchanged: Spark has fitted it."""
        return self

    def sums(self, x: Floats) -> Floats:
        """(rows, outputs) sums of the leaves."""
        rows, total = np.arange(len(x)), np.zeros((len(x), self.values.shape[1]))
        for root in self.roots.tolist():
            node = np.full(len(x), root)
            while (inner := self.feature[node] != LEAF).any():
                at = node[inner]
                right = x[rows[inner], self.feature[at]] > self.threshold[at]
                node[inner] = self.children[at, right.astype(np.intp)]
            total += self.values[node]
        return total

    def predict(self, x: Any) -> npt.NDArray[Any]:
        """(rows,) the most probable class, or numbers for a task without classes."""
        if TASKS[self.task].predicts_classes:
            return np.asarray(self.predict_proba(x).argmax(axis=1))
        return (self.sums(np.asarray(x)) / self.divisor)[:, 0]

    def predict_proba(self, x: Any) -> Floats:
        """(rows, classes) probabilities."""
        sums = self.sums(np.asarray(x))
        if self.ensemble == "forest":
            return class_shares(sums)
        positive = expit(sums[:, 0])
        return np.stack([1 - positive, positive], axis=1)

    def __sklearn_is_fitted__(self) -> bool:
        return True
