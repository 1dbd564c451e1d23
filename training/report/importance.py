"""How much worse the winner gets when one input is shuffled: permutation importance.

Source: Breiman, Random Forests, Machine Learning 45 (2001); inputs that become several columns are shuffled as one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic

import numpy as np

from lakehouse.arrays import Floats
from scoring.encodings import FeatureColumns
from training.evaluation.metrics import METRICS
from training.evaluation.weighted_metrics import ScoredRows
from training.frame.raw_inputs import Groups

ROWS_A_FOLD, ROUNDS = 2000, 5
Predictor = Callable[[FeatureColumns], Floats]


@dataclass(frozen=True)
class Shuffled:
    """A fold's model, the rows it is tried on, and what it says about them untouched."""

    model: Predictor
    features: FeatureColumns
    rows: ScoredRows


@dataclass(frozen=True)
class Loss:
    """By how much a metric is worse without an input: the mean of the folds, and the least and most of them."""

    column: str
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Importance:
    """What each input is worth, the most first; over so many rows a fold, shuffled in so many rounds."""

    losses: tuple[Loss, ...]
    rows: int
    rounds: int


def sample(model: Predictor, features: FeatureColumns, rows: ScoredRows, random: np.random.Generator) -> Shuffled:
    """At most `ROWS_A_FOLD` rows of a fold."""
    chosen = np.sort(random.permutation(len(rows))[:ROWS_A_FOLD])
    return Shuffled(model, {name: values[chosen] for name, values in features.items()}, rows.take(chosen))


def permutation_importance(
    metric: str, folds: Sequence[Shuffled], groups: Groups, random: np.random.Generator, seconds: float
) -> Importance:
    """Shuffle each group of columns in each fold; rounds are repeated until `ROUNDS` or the time is up."""
    end = monotonic() + seconds
    gains: list[Floats] = []
    while len(gains) < ROUNDS and (not gains or monotonic() < end):
        gains.append(np.array([[_gain(metric, fold, group, random) for fold in folds] for group in groups.values()]))
    by_fold = np.mean(gains, axis=0)
    losses = [
        Loss(column, float(values.mean()), float(values.min()), float(values.max()))
        for column, values in zip(groups, by_fold, strict=True)
    ]
    losses.sort(key=lambda loss: (-loss.mean, loss.column))
    return Importance(tuple(losses), sum(len(fold.rows) for fold in folds), len(gains))


def _gain(metric: str, fold: Shuffled, group: Sequence[str], random: np.random.Generator) -> float:
    order = random.permutation(len(fold.rows))
    said = fold.model({**fold.features, **{name: fold.features[name][order] for name in group}})
    shuffled = ScoredRows(fold.rows.labels, said, fold.rows.threshold)
    return METRICS[metric].gain(fold.rows.metric(metric), over=shuffled.metric(metric))
