"""Common behaviour of the tasks whose labels are classes."""

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats
from scoring.predictions import decisions
from scoring.tasks.task import Classes, Task

EDGE = 1e-6  # log-odds are computed of probabilities at least this far from 0 and 1


class ClassTask(Task):
    """A task that predicts probabilities of classes."""

    predicts_classes: ClassVar[bool] = True
    valid_prediction: ClassVar[str] = "probabilities in [0, 1]"

    def columns(self, field: str, predicted: Floats, classes: Classes, threshold: float) -> dict[str, list[Any]]:
        if field == "label":
            return {field: [classes[index] for index in decisions(predicted, threshold).tolist()]}
        if field == "probabilities":
            return {f"probability_{label}": predicted[:, index].tolist() for index, label in enumerate(classes)}
        return {field: (predicted.max(axis=1) if predicted.ndim > 1 else predicted).tolist()}

    def explained(self, predicted: Floats) -> Floats:
        inside = predicted.clip(EDGE, 1 - EDGE)
        odds = np.asarray(np.log(inside / (1 - inside)), dtype=np.float64)
        return odds.reshape(len(odds), -1)

    def rarest(self, labels: npt.NDArray[Any]) -> int:
        counts = np.unique(labels, return_counts=True)[1]
        return int(counts.min()) if len(counts) > 1 else 0

    def random_folds(self, folds: int, seed: int) -> Any:
        from sklearn.model_selection import StratifiedKFold

        return StratifiedKFold(folds, shuffle=True, random_state=seed)
