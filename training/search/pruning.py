"""Poor trials are stopped early: a bar for each fold, by the median of those that came to their end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import median

import numpy as np

from training.evaluation.metrics import METRICS

WARM_UP = 8  # trials that come to their end before any is stopped


@dataclass(frozen=True)
class PruningThreshold:
    """What a trial must not fall behind.

    Attributes:
        metric: what is compared.
        losses: for each number of folds, the mean loss over them above which a trial stops.
        trials: how many trials that is the median of.
    """

    metric: str
    losses: tuple[float, ...]
    trials: int

    def behind(self, per_fold: Sequence[Mapping[str, float]]) -> str | None:
        """Why a trial with these folds shall stop, or None. One that is through all of them never does."""
        tried = len(per_fold)
        if tried >= len(self.losses):
            return None
        mean = float(np.mean([METRICS[self.metric].loss(fold[self.metric]) for fold in per_fold]))
        if np.isnan(mean):
            return f"{self.metric} after {tried} of {len(self.losses)} folds is no number"
        if mean <= self.losses[tried - 1]:
            return None
        shown, other = abs(mean), abs(self.losses[tried - 1])
        return (
            f"{self.metric} {shown:.4f} after {tried} of {len(self.losses)} folds is behind {other:.4f}, "
            f"the median of {self.trials} trials"
        )


class MedianRule:
    """A trial stops once its mean over the first folds is worse than the median of earlier trials over the same.

    It learns trials in order, so that what it says of one follows from those before it and from nothing else.
    """

    def __init__(self, metric: str) -> None:
        self._metric = metric
        self._ended: list[tuple[float, ...]] = []

    def learn(self, fold_losses: Sequence[float]) -> None:
        """Take in a trial that came to its end."""
        means = (total / count for count, total in enumerate(accumulate(fold_losses), start=1))
        self._ended.append(tuple(means))

    def bar(self) -> PruningThreshold | None:
        """The bar for the next trial; None while too few have come to their end."""
        if len(self._ended) < WARM_UP:
            return None
        return PruningThreshold(self._metric, self._medians(), len(self._ended))

    def estimate(self, fold_losses: Sequence[float]) -> float:
        """The loss that a pruned trial would have come to, if it stayed as far behind the median as it was."""
        medians = self._medians()
        return medians[-1] + float(np.mean(fold_losses)) - medians[len(fold_losses) - 1]

    def _medians(self) -> tuple[float, ...]:
        return tuple(median(means) for means in zip(*self._ended, strict=True))
