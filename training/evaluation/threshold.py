"""Decision threshold of a binary version: maximises a metric, or minimises the cost of mistakes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from lakehouse.arrays import Floats
from lakehouse.declaration import Declaration, known_word
from lakehouse.wording import format_number
from training.evaluation.metrics import Targets

UNTUNED_THRESHOLD = 0.5  # of trials, if the threshold is tuned after the search
EDGE = 1e-9


@dataclass(frozen=True)
class DecisionCounts:
    """(thresholds,) numbers of rows by outcome of the decision at each threshold, out of `rows`."""

    true_positive: Floats
    false_positive: Floats
    false_negative: Floats
    rows: int

    @classmethod
    def of(cls, labels: Targets, predicted: Floats, thresholds: Floats) -> Self:
        """Count (n,) labels and probabilities; a probability at or above the threshold is decided 1."""
        positive, negative = (np.sort(predicted[labels == label]) for label in (1, 0))
        hits = len(positive) - np.searchsorted(positive, thresholds, side="left")
        false_alarms = len(negative) - np.searchsorted(negative, thresholds, side="left")
        misses = len(positive) - hits
        return cls(hits.astype(np.float64), false_alarms.astype(np.float64), misses.astype(np.float64), len(labels))


def _f1(counts: DecisionCounts) -> Floats:
    doubled = 2 * counts.true_positive
    return np.asarray(doubled / np.maximum(doubled + counts.false_positive + counts.false_negative, 1))


def _accuracy(counts: DecisionCounts) -> Floats:
    return np.asarray(1 - (counts.false_positive + counts.false_negative) / counts.rows)


# Without precision and recall: each is best if all decisions are the same.
MAXIMISED: Mapping[str, Callable[[DecisionCounts], Floats]] = {"f1": _f1, "accuracy": _accuracy}
ONE_SIDED = frozenset({"precision", "recall"})


class Costs(Declaration):
    """Costs of the two kinds of mistake, in any unit.

    Attributes:
        false_positive: cost of label 1 where 0 is right.
        false_negative: cost of label 0 where 1 is right.
    """

    false_positive: float = Field(gt=0)
    false_negative: float = Field(gt=0)


class ThresholdRule(Declaration):
    """Rule that tunes the threshold: maximise a metric of decisions, or minimise the cost of mistakes.

    Attributes:
        maximise: metric of decisions, such as `f1`.
        cost: costs whose mean is minimised.
    """

    maximise: str | None = None
    cost: Costs | None = None

    @field_validator("maximise")
    @classmethod
    def _maximise_is_tunable(cls, metric: str | None) -> str | None:
        if metric is None:  # a rule by cost is serialised with it
            return None
        if metric in ONE_SIDED:
            raise ValueError(f"{metric} is best if every decision is the same: use f1, accuracy or a cost")
        return known_word("metric of decisions", metric, list(MAXIMISED))

    @model_validator(mode="after")
    def _has_exactly_one(self) -> Self:
        if (self.maximise is None) == (self.cost is None):
            raise ValueError("a threshold is tuned either by `maximise` or by `cost`")
        return self

    def gains(self, counts: DecisionCounts) -> Floats:
        """(thresholds,) the objective, greater is better: the metric, or minus the cost per row."""
        if self.cost is None:
            return MAXIMISED[str(self.maximise)](counts)
        mistakes = self.cost.false_positive * counts.false_positive + self.cost.false_negative * counts.false_negative
        return np.asarray(-mistakes / counts.rows)


@dataclass(frozen=True)
class TunedThreshold:
    """The best threshold by a rule, with its objective on the rows that it was tuned on."""

    threshold: float
    rule: ThresholdRule
    gain: float
    rows: int

    @property
    def summary(self) -> str:
        """One labelled line for the console and the version description."""
        objective, values = f"maximising {self.rule.maximise}", f"{self.gain:.4f}"
        if (cost := self.rule.cost) is not None:
            objective = "minimising cost"
            values = (
                f"{-self.gain:.4f} per row; "
                f"false positive {format_number(cost.false_positive)}, "
                f"false negative {format_number(cost.false_negative)}"
            )
        return f"Decision threshold: {self.threshold:.4g}, {objective} on {self.rows:,} validation rows ({values})"


def tune(rule: ThresholdRule, labels: Targets, predicted: Floats) -> TunedThreshold:
    """Return the best threshold; the lowest of equally good ones.

    Args:
        rule: defines the objective.
        labels: (n,) 0 or 1.
        predicted: (n,) probabilities of rows that the model was not fitted on.
    """
    # Between the probabilities, so that no row lies on a threshold; and beyond both ends.
    edges = np.concatenate([[0.0], np.unique(predicted), [1.0]])
    thresholds = ((edges[1:] + edges[:-1]) / 2).clip(EDGE, 1 - EDGE)
    gains = rule.gains(DecisionCounts.of(labels, predicted, thresholds))
    best = int(np.argmax(gains))
    return TunedThreshold(float(thresholds[best]), rule, float(gains[best]), len(labels))
