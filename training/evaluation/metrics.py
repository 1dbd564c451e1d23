"""The metrics of every task. Labels of classes are their indices, 0 to classes - 1.

A metric is one line of `METRICS`. Commands that measure nothing read the names here, so the first measurement imports
scikit-learn and SciPy, which takes more than a second.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats
from scoring.predictions import LOWER, QUANTILES, SCALE, UPPER, decisions, values
from scoring.tasks import BINARY, FORECAST, MULTICLASS, REGRESSION, Task

Targets = npt.NDArray[Any]
MetricFunction = Callable[[Targets, Floats, float], float]

_LOSS = (0.0, math.inf)
_BINARY, _CLASSES = frozenset({BINARY}), frozenset({BINARY, MULTICLASS})
_NUMBERS, _FORECASTS = frozenset({REGRESSION, FORECAST}), frozenset({FORECAST})


@dataclass(frozen=True)
class Metric:
    """A metric: its function of (labels, predicted, threshold), its direction and its tasks.

    Attributes:
        tasks: tasks that it measures.
        decides: True if it measures decisions and depends on the threshold.
        bounds: lowest and highest possible value.
    """

    function: MetricFunction
    greater_is_better: bool
    tasks: frozenset[Task]
    decides: bool = False
    bounds: tuple[float, float] = (0.0, 1.0)

    def loss(self, value: float) -> float:
        """The value for a search to minimise: negated where greater is better."""
        return -value if self.greater_is_better else value

    def gain(self, value: float, over: float) -> float:
        """The gain of `value` over `over`; negative where it is worse."""
        return self.loss(over) - self.loss(value)


def _of_decisions(name: str, **options: object) -> MetricFunction:
    return lambda labels, predicted, threshold: float(
        _of_sklearn(name)(labels, decisions(predicted, threshold), **options)
    )


def _of_predictions(name: str) -> MetricFunction:
    return lambda labels, predicted, _threshold: float(_of_sklearn(name)(labels, predicted))


def _of_values(name: str) -> MetricFunction:
    return lambda labels, predicted, _threshold: float(_of_sklearn(name)(labels, values(predicted)))


def _mean_of(losses: Callable[[Targets, Floats], Floats]) -> MetricFunction:
    return lambda labels, predicted, _threshold: float(losses(labels, predicted).mean())


def absolute_scaled_errors(labels: Targets, predicted: Floats) -> Floats:
    """(n,) absolute errors in scales; their mean is MASE (Hyndman & Koehler, 2006)."""
    return np.asarray(np.abs(labels - values(predicted)) / predicted[:, SCALE])


def symmetric_errors(labels: Targets, predicted: Floats) -> Floats:
    """(n,) twice the absolute error over the sum of both sizes, 0 to 2; 0 where both numbers are 0."""
    sizes = np.abs(labels) + np.abs(values(predicted))
    return np.asarray(2 * np.abs(labels - values(predicted)) / np.where(sizes > 0, sizes, 1))


def pinball_losses(labels: Targets, predicted: Floats) -> Floats:
    """(n,) mean pinball loss of the two bounds, in scales: each as a forecast of its quantile."""
    losses = []
    for place, quantile in zip((LOWER, UPPER), QUANTILES, strict=True):
        error = labels - predicted[:, place]
        losses.append(np.maximum(quantile * error, (quantile - 1) * error) / predicted[:, SCALE])
    return np.asarray(np.mean(losses, axis=0), dtype=np.float64)


def within_bounds(labels: Targets, predicted: Floats) -> Floats:
    """(n,) 1 where the label is within the bounds, else 0."""
    return np.asarray((predicted[:, LOWER] <= labels) & (labels <= predicted[:, UPPER]), dtype=np.float64)


def _of_sklearn(name: str) -> Callable[..., float]:
    from sklearn import metrics

    score: Callable[..., float] = getattr(metrics, name)
    return score


def _roc_auc(labels: Targets, predicted: Floats, _threshold: float) -> float:
    """For several classes, the mean of each against the rest, over classes with rows on both sides."""
    if predicted.ndim == 1:
        return _area(labels == 1, predicted)
    measurable = [index for index in range(predicted.shape[1]) if 0 < (labels == index).sum() < len(labels)]
    areas = [_area(labels == index, predicted[:, index]) for index in measurable]
    return float(np.mean(areas)) if areas else float("nan")


def _area(positive: npt.NDArray[np.bool_], predicted: Floats) -> float:
    """The area under the ROC curve by ranks (Mann & Whitney); NaN if a side has no rows or a prediction is NaN.

    Blends and bootstraps compute it a thousand times, and scikit-learn's takes six times as long for 7,000 rows.
    """
    from scipy.stats import rankdata

    ones = int(positive.sum())
    pairs = ones * (len(positive) - ones)
    if pairs == 0:
        return float("nan")
    ordered_pairs = rankdata(predicted)[positive].sum() - ones * (ones + 1) / 2
    return float(ordered_pairs / pairs)


def _log_loss(labels: Targets, predicted: Floats, _threshold: float) -> float:
    """Scikit-learn's, bit for bit, without the checks that take most of its time for a thousand rows."""
    from scipy.special import xlogy

    if not ((predicted >= 0) & (predicted <= 1)).all():
        raise ValueError("a predicted probability is not between 0 and 1")
    if predicted.ndim == 1:
        of_labels = np.where(labels == 1, predicted, 1 - predicted)
    else:
        of_labels = predicted[np.arange(len(labels)), labels.astype(np.intp)]
    least = np.finfo(np.float64).eps
    return float(np.mean(-xlogy(1.0, of_labels.clip(least, 1 - least))))


FORECAST_LOSSES: Mapping[str, Callable[[Targets, Floats], Floats]] = {
    "mase": absolute_scaled_errors,
    "smape": symmetric_errors,
    "pinball": pinball_losses,
}
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
        tasks=frozenset({MULTICLASS}),
        decides=True,
    ),
    "roc_auc": Metric(_roc_auc, greater_is_better=True, tasks=_CLASSES),
    "average_precision": Metric(_of_predictions("average_precision_score"), greater_is_better=True, tasks=_BINARY),
    "log_loss": Metric(_log_loss, greater_is_better=False, tasks=_CLASSES, bounds=_LOSS),
    "mse": Metric(_of_values("mean_squared_error"), greater_is_better=False, tasks=_NUMBERS, bounds=_LOSS),
    "rmse": Metric(_of_values("root_mean_squared_error"), greater_is_better=False, tasks=_NUMBERS, bounds=_LOSS),
    "mae": Metric(_of_values("mean_absolute_error"), greater_is_better=False, tasks=_NUMBERS, bounds=_LOSS),
    "r2": Metric(_of_values("r2_score"), greater_is_better=True, tasks=_NUMBERS, bounds=(-math.inf, 1.0)),
    **{
        name: Metric(_mean_of(losses), greater_is_better=False, tasks=_FORECASTS, bounds=_LOSS)
        for name, losses in FORECAST_LOSSES.items()
    },
}


def metrics_of(task: Task) -> list[str]:
    """The metrics of a task, in the order of their display."""
    return [name for name, metric in METRICS.items() if task in metric.tasks]


def evaluate_baseline(task: Task, labels: Targets, predicted: Floats) -> dict[str, float]:
    """Every metric of the task, for predictions without features.

    A metric of binary decisions takes the better of always 0 and always 1: where one label in ten is 1, always 0 has
    an accuracy of 0.9, whatever the threshold.
    """
    constant = [evaluate(task, labels, predicted, threshold) for threshold in (-np.inf, np.inf)]
    return {name: min((each[name] for each in constant), key=METRICS[name].loss) for name in metrics_of(task)}


def evaluate(task: Task, labels: Targets, predicted: Floats, threshold: float) -> dict[str, float]:
    """Every metric of the task.

    Args:
        labels: (n,) indices of classes, or numbers.
        predicted: predictions of the task.
        threshold: decision threshold of a binary task; metrics of decisions depend on it.
    """
    return {name: METRICS[name].function(labels, predicted, threshold) for name in metrics_of(task)}
