"""Successive halving: a network stops at a rung if earlier networks of its kind were better after as many epochs.

It is the asynchronous form (Li et al., A system for massively parallel hyperparameter tuning, 2020) with a halving
factor of 2. Trials are observed in order of their numbers, so that each decision repeats itself.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from statistics import median
from typing import Any

import numpy.typing as npt

from lakehouse.arrays import Floats
from training.evaluation.metrics import METRICS
from training.networks.rungs import RUNGS, FitStopped, RungWatch
from training.space.joint_space import Candidate

WARM_UP = 4  # networks of a kind at a rung before the first one stops there


@dataclass(frozen=True)
class RungLimits:
    """Losses above which a network stops, for each rung that enough networks have reached.

    Attributes:
        metric: the metric that is compared, on the validation rows of the fit.
        losses: medians of the losses of earlier networks.
        networks: number of networks that each median is of.
    """

    metric: str
    losses: tuple[float, ...] = ()
    networks: tuple[int, ...] = ()


@dataclass
class HalvingWatch:
    """Compares one fit with the limits.

    Attributes:
        threshold: decision threshold of the metrics that need one.
        losses: loss at each rung that the fit has reached.
    """

    limits: RungLimits
    threshold: float
    losses: list[float] = field(default_factory=list)

    def reach(self, y: npt.NDArray[Any], predicted: Floats) -> None:
        """Take in the predictions at the next rung.

        Raises:
            FitStopped: the loss is above the limit.
        """
        limits, rung, metric = self.limits, len(self.losses), METRICS[self.limits.metric]
        loss = metric.loss(metric.function(y, predicted, self.threshold))
        self.losses.append(loss)
        if rung < len(limits.losses) and loss > limits.losses[rung]:
            raise FitStopped(
                f"{limits.metric} {abs(loss):.4f} on validation rows after {RUNGS[rung]} epochs is worse than "
                f"{abs(limits.losses[rung]):.4f}, the median of {limits.networks[rung]} networks"
            )

    def resume(self, losses: Sequence[float]) -> None:
        """Continue after these losses, of a fit that was interrupted."""
        self.losses[:] = losses


class HalvingRule:
    """Sets the limits of each network from earlier networks of its family with as many epochs at most."""

    def __init__(self, metric: str) -> None:
        self._metric = metric
        self._losses: dict[object, list[list[float]]] = defaultdict(list)

    def observe(self, candidate: Candidate, losses: Sequence[float]) -> None:
        """Take in the losses of a trial at the rungs that it reached."""
        rungs = self._losses[_kind(candidate)]
        for rung, loss in enumerate(losses):
            if rung == len(rungs):
                rungs.append([])
            if isfinite(loss):
                rungs[rung].append(loss)

    def limits(self, candidate: Candidate) -> RungLimits:
        """Limits of the next trial; none until enough networks have reached a rung."""
        observed = [losses for losses in self._losses[_kind(candidate)] if len(losses) >= WARM_UP]
        return RungLimits(self._metric, tuple(map(median, observed)), tuple(map(len, observed)))


def _kind(candidate: Candidate) -> tuple[str, object]:
    """Networks that are compared: one schedule of the learning rate has another loss after as many epochs."""
    return candidate.family, candidate.params.get("max_epochs")


_: type[RungWatch] = HalvingWatch
