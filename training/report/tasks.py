"""What differs by task, and is no figure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import KFold, StratifiedKFold

from lakehouse.arrays import Floats


@dataclass(frozen=True)
class ReportTask:
    """A kind of outcome.

    Attributes:
        explained: (rows, outputs) what Shapley values add up to, from predictions.
        unit: what that is, as a scale is labelled.
        rarest: how many rows the rarest label has; of numbers, all.
        random_folds: draws folds that ignore time.
        mean_label: whether the mean of labels says something.
    """

    explained: Callable[[Floats], Floats]
    unit: str
    rarest: Callable[[npt.NDArray[Any]], int]
    random_folds: Callable[..., KFold | StratifiedKFold]
    mean_label: bool


def _log_odds(probabilities: Floats) -> Floats:
    inside = probabilities.clip(1e-6, 1 - 1e-6)
    odds = np.asarray(np.log(inside / (1 - inside)), dtype=np.float64)
    return odds.reshape(len(odds), -1)


def _as_it_is(predicted: Floats) -> Floats:
    return predicted.reshape(-1, 1)


def _rarest(labels: npt.NDArray[Any]) -> int:
    counts = np.unique(labels, return_counts=True)[1]
    return int(counts.min()) if len(counts) > 1 else 0


TASKS: Mapping[str, ReportTask] = {
    "binary": ReportTask(_log_odds, "the log-odds of label 1", _rarest, StratifiedKFold, mean_label=True),
    "multiclass": ReportTask(_log_odds, "the log-odds of each class", _rarest, StratifiedKFold, mean_label=False),
    "regression": ReportTask(_as_it_is, "the prediction", len, KFold, mean_label=True),
}
