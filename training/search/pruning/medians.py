"""Pruning: a trial stops early if it is worse than the median of earlier trials over the same folds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import median

import numpy as np

from training.evaluation.metrics import METRICS

WARM_UP = 8  # complete trials before the first one is pruned


@dataclass(frozen=True)
class PruningThreshold:
    """Losses above which a trial is pruned.

    Attributes:
        metric: the metric that is compared.
        losses: largest mean loss over the first fold, the first two folds, and so on.
        trials: number of trials that the losses are the medians of.
    """

    metric: str
    losses: tuple[float, ...]
    trials: int

    def pruning_reason(self, per_fold: Sequence[Mapping[str, float]]) -> str | None:
        """Reason to prune a trial with these folds, or None. A trial with all folds is never pruned."""
        tried = len(per_fold)
        if tried >= len(self.losses):
            return None
        mean = float(np.mean([METRICS[self.metric].loss(fold[self.metric]) for fold in per_fold]))
        if np.isnan(mean):
            return f"{self.metric} is not a number after {tried} of {len(self.losses)} folds"
        limit = self.losses[tried - 1]
        if mean <= limit:
            return None
        return (
            f"{self.metric} {abs(mean):.4f} after {tried} of {len(self.losses)} folds is worse than "
            f"{abs(limit):.4f}, the median of {self.trials} trials"
        )


class MedianRule:
    """Sets the pruning threshold of each trial from earlier trials.

    It observes trials in order of their numbers, so that its thresholds depend on nothing else.
    """

    def __init__(self, metric: str) -> None:
        self._metric = metric
        self._running_means: list[tuple[float, ...]] = []

    def observe(self, fold_losses: Sequence[float]) -> None:
        """Take in a complete trial."""
        means = (total / count for count, total in enumerate(accumulate(fold_losses), start=1))
        self._running_means.append(tuple(means))

    def threshold(self) -> PruningThreshold | None:
        """Threshold for the next trial; None until enough trials are complete."""
        if len(self._running_means) < WARM_UP:
            return None
        return PruningThreshold(self._metric, self._medians(), len(self._running_means))

    def estimate(self, fold_losses: Sequence[float]) -> float:
        """Estimate the loss of a pruned trial over all folds: its distance from the median stays the same.

        A trial that stopped within its first fold has the largest loss of the complete trials; it is infinite if
        there are none.
        """
        if not fold_losses:
            return max((means[-1] for means in self._running_means), default=float("inf"))
        medians = self._medians()
        return medians[-1] + float(np.mean(fold_losses)) - medians[len(fold_losses) - 1]

    def _medians(self) -> tuple[float, ...]:
        return tuple(median(means) for means in zip(*self._running_means, strict=True))
