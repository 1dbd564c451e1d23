"""Labels 0 and 1, predicted as the probability of label 1."""

from typing import Any

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats
from scoring.tasks.class_task import ClassTask
from scoring.tasks.task import Classes


class Binary(ClassTask):
    """Binary classification; a prediction is (rows,) probabilities of label 1."""

    name = "binary"
    fields = ("label", "probability")
    has_threshold = True
    target_type = "binary"
    explained_value = "the log-odds of label 1"

    def classes(self, declared: Classes) -> Classes:
        return (0, 1)

    def width(self, classes: int) -> int:
        return 1

    def predict(self, pipeline: Any, inputs: Any) -> Floats:
        return np.asarray(pipeline.predict_proba(inputs), dtype=np.float64)[:, 1]

    def samples(self, classes: int) -> Floats:
        return np.asarray([0.0, 0.5, 1.0])

    def count_valid(self, predicted: Floats, labels: npt.NDArray[Any]) -> int:
        if predicted.ndim != 1 or predicted.shape != labels.shape:
            return 0
        return int(np.sum((predicted >= 0) & (predicted <= 1) & np.isin(labels, (0, 1))))

    def summarise(self, labels: npt.NDArray[Any], classes: Classes) -> str:
        return f"{np.mean(labels == 1):.1%} positive"


BINARY = Binary()
