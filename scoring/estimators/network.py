"""A neural network as its ONNX graph: fitted by `training.networks`, and the same graph wherever it predicts."""

from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from sklearn.base import BaseEstimator

from lakehouse.arrays import Floats
from scoring.onnx_graphs.network_graph import NetworkGraph
from scoring.predictions import sequential_sum
from scoring.tasks import TASKS


class Network(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Predicts dense rows without the library that fitted it.

    Attributes:
        library: package that it needs.
        task: name of the task.
        graph: the serialised graph.
        classes: count of classes; 0 for numbers.
        epochs: passes over the rows that it was fitted with.
    """

    library: ClassVar[str] = "onnxruntime"

    def __init__(self, task: str, graph: bytes, classes: int, epochs: int) -> None:
        self.task = task
        self.graph = graph
        self.classes = classes
        self.epochs = epochs

    @property
    def classes_(self) -> npt.NDArray[Any]:
        return np.arange(self.classes)

    def fit(self, _x: Any, _y: object = None) -> Self:
        """Return the network unchanged: it is fitted."""
        return self

    def predict(self, x: Any) -> npt.NDArray[Any]:
        """(rows,) the most probable class, or numbers for a task without classes."""
        if TASKS[self.task].predicts_classes:
            return np.asarray(self.predict_proba(x).argmax(axis=1))
        return self._opened.sums(np.asarray(x))[:, 0]

    def predict_proba(self, x: Any) -> Floats:
        """(rows, classes) probabilities."""
        return probabilities(self._opened.sums(np.asarray(x)))

    @cached_property
    def _opened(self) -> NetworkGraph:
        return NetworkGraph(self.graph)

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in super().__getstate__().items() if name != "_opened"}

    def __sklearn_is_fitted__(self) -> bool:
        return True


def probabilities(sums: Floats) -> Floats:
    """(rows, classes) probabilities of (rows, outputs) sums of the last layer."""
    if sums.shape[1] == 1:
        positive = expit(sums[:, 0])
        return np.stack([1 - positive, positive], axis=1)
    powers = np.exp(sums - sums.max(axis=1, keepdims=True))
    return np.asarray(powers / sequential_sum(powers))
