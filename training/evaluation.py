"""How good predicted probabilities are: the metrics of binary classification."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn import metrics

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Metric:
    """One metric of (labels, probabilities, threshold), and which way is better."""

    function: Callable[[Labels, Floats, float], float]
    greater_is_better: bool

    def loss(self, value: float) -> float:
        """What a search minimises: the value, negated where more is better."""
        return -value if self.greater_is_better else value

    def gain(self, value: float, over: float) -> float:
        """By how much `value` is better than `over`; negative where it is worse."""
        return self.loss(over) - self.loss(value)


def _of_decisions(score: Callable[..., float], **options: int) -> Callable[[Labels, Floats, float], float]:
    return lambda labels, probabilities, threshold: float(score(labels, probabilities >= threshold, **options))


def _of_probabilities(score: Callable[..., float], **options: object) -> Callable[[Labels, Floats, float], float]:
    return lambda labels, probabilities, _threshold: float(score(labels, probabilities, **options))


METRICS: Mapping[str, Metric] = {
    "accuracy": Metric(_of_decisions(metrics.accuracy_score), greater_is_better=True),
    "precision": Metric(_of_decisions(metrics.precision_score, zero_division=0), greater_is_better=True),
    "recall": Metric(_of_decisions(metrics.recall_score, zero_division=0), greater_is_better=True),
    "f1": Metric(_of_decisions(metrics.f1_score, zero_division=0), greater_is_better=True),
    "roc_auc": Metric(_of_probabilities(metrics.roc_auc_score), greater_is_better=True),
    "average_precision": Metric(_of_probabilities(metrics.average_precision_score), greater_is_better=True),
    "log_loss": Metric(_of_probabilities(metrics.log_loss, labels=[0, 1]), greater_is_better=False),
}


def evaluate(labels: Labels, probabilities: Floats, threshold: float) -> dict[str, float]:
    """Every metric, for the probability of label 1.

    Args:
        labels: (n,) of 0 and 1, both present.
        probabilities: (n,) in [0, 1].
        threshold: from which probability on the decision is 1; metrics of decisions depend on it.
    """
    return {name: metric.function(labels, probabilities, threshold) for name, metric in METRICS.items()}
