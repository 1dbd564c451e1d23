"""From which probability on a version decides for label 1: where a metric is best, or mistakes cost least."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from lakehouse.arrays import Floats
from lakehouse.declaration import Declaration, known_word
from training.evaluation.metrics import Targets

UNTUNED = 0.5  # by which trials decide where the threshold is tuned after them
EDGE = 1e-9


@dataclass(frozen=True)
class DecisionCounts:
    """What deciding at each of some thresholds comes to: (thresholds,) rows each, of `rows` in all."""

    true_positive: Floats
    false_positive: Floats
    false_negative: Floats
    rows: int

    @classmethod
    def of(cls, labels: Targets, predicted: Floats, thresholds: Floats) -> Self:
        """Of (n,) labels and probabilities; a row is decided 1 from the threshold on."""
        positive, negative = (np.sort(predicted[labels == label]) for label in (1, 0))
        hit = len(positive) - np.searchsorted(positive, thresholds, side="left")
        alarm = len(negative) - np.searchsorted(negative, thresholds, side="left")
        missed = len(positive) - hit
        return cls(hit.astype(np.float64), alarm.astype(np.float64), missed.astype(np.float64), len(labels))


def _f1(counts: DecisionCounts) -> Floats:
    doubled = 2 * counts.true_positive
    return np.asarray(doubled / np.maximum(doubled + counts.false_positive + counts.false_negative, 1))


def _accuracy(counts: DecisionCounts) -> Floats:
    return np.asarray(1 - (counts.false_positive + counts.false_negative) / counts.rows)


# Precision and recall are missing: each is best where all decisions are the same.
MAXIMISED: Mapping[str, Callable[[DecisionCounts], Floats]] = {"f1": _f1, "accuracy": _accuracy}
ONE_SIDED = frozenset({"precision", "recall"})


class Costs(Declaration):
    """What a mistake costs; the unit does not matter."""

    false_positive: float = Field(gt=0)
    false_negative: float = Field(gt=0)


class ThresholdRule(Declaration):
    """How the threshold is found: by a metric of decisions, or by the cost of mistakes."""

    maximise: str | None = None
    cost: Costs | None = None

    @field_validator("maximise")
    @classmethod
    def _has_a_best(cls, metric: str | None) -> str | None:
        if metric is None:  # as a rule by cost is written out
            return None
        if metric in ONE_SIDED:
            raise ValueError(f"{metric} is best where every decision is the same: say f1, accuracy or a cost")
        return known_word("metric of decisions", metric, list(MAXIMISED))

    @model_validator(mode="after")
    def _says_one(self) -> Self:
        if (self.maximise is None) == (self.cost is None):
            raise ValueError("a threshold is tuned by `maximise` or by `cost`, and not by both")
        return self

    def gains(self, counts: DecisionCounts) -> Floats:
        """(thresholds,) what is highest at the best of them: the metric, or minus the cost of a row."""
        if self.cost is None:
            return MAXIMISED[str(self.maximise)](counts)
        mistakes = self.cost.false_positive * counts.false_positive + self.cost.false_negative * counts.false_negative
        return np.asarray(-mistakes / counts.rows)


@dataclass(frozen=True)
class Tuned:
    """The best threshold by a rule, and what it brings on the rows that it was found on."""

    threshold: float
    rule: ThresholdRule
    gain: float
    rows: int

    @property
    def told(self) -> str:
        """What was done, as a sentence."""
        where = f"{self.rule.maximise} is highest: {self.gain:.4f}"
        if self.rule.cost is not None:
            costs = self.rule.cost
            where = (
                f"mistakes cost least: {-self.gain:.4f} a row, where a false positive costs "
                f"{costs.false_positive:g} and a false negative {costs.false_negative:g}"
            )
        return (
            f"It decides for label 1 from a probability of {self.threshold:.4g} on, where on the {self.rows:,} "
            f"validation rows {where}."
        )


def tuned(rule: ThresholdRule, labels: Targets, predicted: Floats) -> Tuned:
    """The best threshold of all; of equally good ones the lowest.

    Args:
        rule: what is best there.
        labels: (n,) 0 or 1.
        predicted: (n,) probabilities of rows that the model was not fitted on.
    """
    # Between the probabilities, so that none lies at the threshold itself; and beyond both ends.
    edges = np.concatenate([[0.0], np.unique(predicted), [1.0]])
    thresholds = ((edges[1:] + edges[:-1]) / 2).clip(EDGE, 1 - EDGE)
    gains = rule.gains(DecisionCounts.of(labels, predicted, thresholds))
    best = int(np.argmax(gains))
    return Tuned(float(thresholds[best]), rule, float(gains[best]), len(labels))
