"""Labels of three classes or more, predicted as a probability of each class."""

from typing import Any

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats
from scoring.tasks.class_task import ClassTask
from scoring.tasks.task import Classes

SUM_TOLERANCE = 1e-6  # single precision: how far the sum of a row's probabilities may be from 1


class Multiclass(ClassTask):
    """Multiclass classification; a prediction is (rows, classes) probabilities."""

    name = "multiclass"
    fields = ("label", "probability", "probabilities")
    declares_classes = True
    target_type = "multiclass"
    has_mean_label = False
    explained_value = "the log-odds of each class"

    def classes(self, declared: Classes) -> Classes:
        return declared

    def width(self, classes: int) -> int:
        return classes

    def predict(self, pipeline: Any, inputs: Any) -> Floats:
        return np.asarray(pipeline.predict_proba(inputs), dtype=np.float64)

    def samples(self, classes: int) -> Floats:
        return np.eye(classes)

    def count_valid(self, predicted: Floats, labels: npt.NDArray[Any]) -> int:
        if predicted.ndim != 2 or predicted.shape[1] < 2 or len(predicted) != len(labels):
            return 0
        sums_to_one = np.abs(predicted.sum(axis=1) - 1) <= SUM_TOLERANCE
        probabilities = ((predicted >= 0) & (predicted <= 1)).all(axis=1)
        return int(np.sum(sums_to_one & probabilities & np.isin(labels, np.arange(predicted.shape[1]))))

    def summarise(self, labels: npt.NDArray[Any], classes: Classes) -> str:
        shares = np.bincount(labels, minlength=len(classes)) / len(labels)
        return ", ".join(f"{label} {share:.1%}" for label, share in zip(classes, shares, strict=True))


MULTICLASS = Multiclass()
