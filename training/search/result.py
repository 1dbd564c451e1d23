"""The result of a search: its trials and why it stopped."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lakehouse.console import number_of
from lakehouse.errors import LakehouseError
from training.search.trial import BASELINE, Trial, best

StopReason = Literal["complete", "out_of_time", "interrupted"]


OnTrial = Callable[[Trial], None]


class SearchFailed(LakehouseError):
    """No trial came to a result."""

    @classmethod
    def after(cls, trials: tuple[Trial, ...]) -> "SearchFailed":
        if not trials:
            return cls("the search ended before its first trial did", hint="Give it more time: --max-minutes")
        last = trials[-1].error or "a metric that is no number"
        return cls(
            f"none of {number_of('trial', len(trials))} came to a result; the last one failed with {last}",
            hint="Narrow the families or their spaces, and look at the failed trials: mlflow ui",
        )


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        trials: in order of their numbers.
        stop_reason: whether it came to its own end, ran out of time, or was interrupted.
    """

    trials: tuple[Trial, ...]
    stop_reason: StopReason

    @property
    def searched(self) -> tuple[Trial, ...]:
        """All but the one that guesses."""
        return tuple(trial for trial in self.trials if trial.number != BASELINE)

    def best(self, metric: str) -> Trial:
        """The trial of least loss.

        Raises:
            SearchFailed: none came to a result.
        """
        if not any(np.isfinite(trial.loss(metric)) for trial in self.searched):
            raise SearchFailed.after(self.searched)
        return best(self.trials, metric)

    def unbeaten_baseline(self, metric: str) -> float | None:
        """What guessing reaches, where the best is no better."""
        least = self.best(metric).loss(metric)
        return next(
            (
                trial.metrics[metric]
                for trial in self.trials
                if trial.number == BASELINE and trial.loss(metric) <= least
            ),
            None,
        )
