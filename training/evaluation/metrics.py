"""How good predictions are: the metrics of each task. Labels of classes are their places, 0 to classes - 1.

Commands that measure nothing read the names of metrics here: scikit-learn and SciPy, which take more than a second to
be imported, come with the first measurement.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats
from scoring.predictions import Task, decided

__all__ = ["METRICS", "Metric", "Targets", "Task", "decided", "evaluate", "metrics_of"]

Targets = npt.NDArray[Any]
MetricFunction = Callable[[Targets, Floats, float], float]

_BINARY, _CLASSES, _NUMBERS = frozenset({"binary"}), frozenset({"binary", "multiclass"}), frozenset({"regression"})


@dataclass(frozen=True)
class Metric:
    """One metric of (labels, predicted, threshold), which way is better, and whose it is.

    Attributes:
        tasks: the tasks that it measures.
        decides: whether it measures decisions, and so depends on the threshold.
    """

    function: MetricFunction
    greater_is_better: bool
    tasks: frozenset[str]
    decides: bool = False

    def loss(self, value: float) -> float:
        """What a search minimises: the value, negated where more is better."""
        return -value if self.greater_is_better else value

    def gain(self, value: float, over: float) -> float:
        """By how much `value` is better than `over`; negative where it is worse."""
        return self.loss(over) - self.loss(value)


def _of_decisions(name: str, **options: object) -> MetricFunction:
    return lambda labels, predicted, threshold: float(
        _of_sklearn(name)(labels, decided(predicted, threshold), **options)
    )


def _of_predictions(name: str) -> MetricFunction:
    return lambda labels, predicted, _threshold: float(_of_sklearn(name)(labels, predicted))


def _of_sklearn(name: str) -> Callable[..., float]:
    from sklearn import metrics

    score: Callable[..., float] = getattr(metrics, name)
    return score


def _roc_auc(labels: Targets, predicted: Floats, _threshold: float) -> float:
    """Of several classes the mean over those that have both rows in them and rows outside, each against the rest."""
    if predicted.ndim == 1:
        return _area(labels == 1, predicted)
    there = [place for place in range(predicted.shape[1]) if 0 < (labels == place).sum() < len(labels)]
    areas = [_area(labels == place, predicted[:, place]) for place in there]
    return float(np.mean(areas)) if areas else float("nan")


def _area(positive: npt.NDArray[np.bool_], predicted: Floats) -> float:
    """The area under the curve by ranks (Mann & Whitney); NaN where one side has no rows, or a prediction is NaN.

    Blends and bootstraps ask for it a thousand times: scikit-learn's takes six times as long for 7,000 rows.
    """
    from scipy.stats import rankdata

    ones = int(positive.sum())
    pairs = ones * (len(positive) - ones)
    if pairs == 0:
        return float("nan")
    ordered = rankdata(predicted)[positive].sum() - ones * (ones + 1) / 2
    return float(ordered / pairs)


def _log_loss(labels: Targets, predicted: Floats, _threshold: float) -> float:
    classes = range(predicted.shape[1]) if predicted.ndim > 1 else (0, 1)
    return float(_of_sklearn("log_loss")(labels, predicted, labels=list(classes)))


METRICS: Mapping[str, Metric] = {
    "accuracy": Metric(_of_decisions("accuracy_score"), greater_is_better=True, tasks=_CLASSES, decides=True),
    "precision": Metric(
        _of_decisions("precision_score", zero_division=0), greater_is_better=True, tasks=_BINARY, decides=True
    ),
    "recall": Metric(
        _of_decisions("recall_score", zero_division=0), greater_is_better=True, tasks=_BINARY, decides=True
    ),
    "f1": Metric(_of_decisions("f1_score", zero_division=0), greater_is_better=True, tasks=_BINARY, decides=True),
    "macro_f1": Metric(
        _of_decisions("f1_score", average="macro", zero_division=0),
        greater_is_better=True,
        tasks=frozenset({"multiclass"}),
        decides=True,
    ),
    "roc_auc": Metric(_roc_auc, greater_is_better=True, tasks=_CLASSES),
    "average_precision": Metric(_of_predictions("average_precision_score"), greater_is_better=True, tasks=_BINARY),
    "log_loss": Metric(_log_loss, greater_is_better=False, tasks=_CLASSES),
    "mse": Metric(_of_predictions("mean_squared_error"), greater_is_better=False, tasks=_NUMBERS),
    "rmse": Metric(_of_predictions("root_mean_squared_error"), greater_is_better=False, tasks=_NUMBERS),
    "mae": Metric(_of_predictions("mean_absolute_error"), greater_is_better=False, tasks=_NUMBERS),
    "r2": Metric(_of_predictions("r2_score"), greater_is_better=True, tasks=_NUMBERS),
}


def metrics_of(task: Task) -> list[str]:
    """The metrics of a task, in the order they are shown."""
    return [name for name, metric in METRICS.items() if task in metric.tasks]


def evaluate(task: Task, labels: Targets, predicted: Floats, threshold: float) -> dict[str, float]:
    """Every metric of the task.

    Args:
        labels: (n,) places of classes, or numbers.
        predicted: in the task's form.
        threshold: from which probability on a binary decision is 1; metrics of decisions depend on it.
    """
    return {name: METRICS[name].function(labels, predicted, threshold) for name in metrics_of(task)}
