"""Permutation importance: how much a metric worsens if the values of one input are shuffled.

All columns of an input are shuffled together. Source: Breiman, Random Forests, Machine Learning 45 (2001).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic

import numpy as np

from lakehouse.arrays import Floats, Indices
from scoring.encodings import FeatureColumns
from training.evaluation.metrics import METRICS
from training.evaluation.weighted_metrics import ScoredRows
from training.frame.raw_inputs import Groups

ROWS_PER_FOLD, ROUNDS = 2000, 5
Predictor = Callable[[FeatureColumns], Floats]


@dataclass(frozen=True)
class FoldSample:
    """The model of a fold, with sampled validation rows and their predictions."""

    model: Predictor
    features: FeatureColumns
    rows: ScoredRows


@dataclass(frozen=True)
class InputImportance:
    """Worsening of the metric if an input is shuffled: mean, minimum and maximum over the folds."""

    column: str
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Importance:
    """Importance of all inputs, largest first, with the number of rows and of shuffling rounds."""

    inputs: tuple[InputImportance, ...]
    rows: int
    rounds: int


def sample(
    model: Predictor, features_at: Callable[[Indices], FeatureColumns], rows: ScoredRows, random: np.random.Generator
) -> FoldSample:
    """Draw at most `ROWS_PER_FOLD` rows of a fold, whose features are read by index."""
    chosen = np.sort(random.permutation(len(rows))[:ROWS_PER_FOLD])
    return FoldSample(model, features_at(chosen), rows.take(chosen))


def permutation_importance(
    metric: str, folds: Sequence[FoldSample], groups: Groups, random: np.random.Generator, seconds: float
) -> Importance:
    """Shuffle each group of columns in each fold, for up to `ROUNDS` rounds within the time limit."""
    end = monotonic() + seconds
    changes: list[Floats] = []
    while len(changes) < ROUNDS and (not changes or monotonic() < end):
        changes.append(
            np.array([[_worsening(metric, fold, group, random) for fold in folds] for group in groups.values()])
        )
    by_fold = np.mean(changes, axis=0)
    inputs = [
        InputImportance(column, float(values.mean()), float(values.min()), float(values.max()))
        for column, values in zip(groups, by_fold, strict=True)
    ]
    inputs.sort(key=lambda each: (-each.mean, each.column))
    return Importance(tuple(inputs), sum(len(fold.rows) for fold in folds), len(changes))


def _worsening(metric: str, fold: FoldSample, group: Sequence[str], random: np.random.Generator) -> float:
    order = random.permutation(len(fold.rows))
    predicted = fold.model({**fold.features, **{name: fold.features[name][order] for name in group}})
    shuffled = ScoredRows(fold.rows.labels, predicted, fold.rows.threshold)
    return METRICS[metric].gain(fold.rows.metric(metric), over=shuffled.metric(metric))
