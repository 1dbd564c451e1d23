"""Labels as a network learns them, and the loss that it lowers, for each kind of task."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.utils.class_weight import compute_sample_weight

from lakehouse.arrays import Floats
from scoring.tasks import TASKS


@dataclass(frozen=True)
class LearnedLabels:
    """Labels and weights of the rows of a fit.

    Attributes:
        labels: (rows,) class index, or number in the units of `scale` and `offset`.
        weights: (rows,) with mean 1.
        classes: count of classes; 0 for numbers.
        scale, offset: of numbers, their standard deviation and mean; a network learns numbers without them.
    """

    labels: npt.NDArray[Any]
    weights: Floats
    classes: int
    scale: float = 1.0
    offset: float = 0.0

    @classmethod
    def of(cls, task: str, y: npt.NDArray[Any], weights: Floats | None, classes: int, *, balanced: bool) -> Self:
        """The targets of labels, with balanced class weights on top of the rows' own if `balanced`."""
        weighted = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=np.float64)
        if balanced:
            weighted = weighted * compute_sample_weight("balanced", y)
        weighted = weighted / weighted.mean()
        if TASKS[task].predicts_classes:
            return cls(np.asarray(y, dtype=np.int64), weighted, classes)
        offset = float(np.average(y, weights=weighted))
        scale = float(np.sqrt(np.average(np.square(y - offset), weights=weighted))) or 1.0
        return cls((y - offset) / scale, weighted, 0, scale, offset)

    def like(self, task: str, y: npt.NDArray[Any], weights: Floats | None) -> "LearnedLabels":
        """Other rows with these units, for validation; without class weights."""
        weighted = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=np.float64)
        labels = np.asarray(y, dtype=np.int64) if TASKS[task].predicts_classes else (y - self.offset) / self.scale
        return LearnedLabels(labels, weighted / weighted.mean(), self.classes, self.scale, self.offset)

    @property
    def outputs(self) -> int:
        """Width of the last layer: a number, the log-odds of label 1, or one for each class."""
        return self.classes if self.classes > 2 else 1

    @property
    def link(self) -> str:
        """Name of the link in `scoring.compiled.links.LINKS`."""
        if not self.classes:
            return "identity"
        return "logistic" if self.classes == 2 else "numpy_softmax"
