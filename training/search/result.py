"""The result of a search: its trials, and why it stopped."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np

from lakehouse.errors import LakehouseError
from lakehouse.wording import number_of
from training.models import FAMILIES
from training.search.ensemble_candidates import STACK, blend_members, fitted_parts
from training.search.trial import BASELINE, Trial, best
from training.space.joint_space import Candidate

StopReason = Literal["complete", "out_of_time", "interrupted"]
OnTrial = Callable[[Trial], None]


class SearchFailed(LakehouseError):
    """No trial is complete."""

    @classmethod
    def after(cls, trials: tuple[Trial, ...]) -> "SearchFailed":
        if not trials:
            return cls("the search ended before its first trial", hint="Give it more time: --max-minutes")
        last = trials[-1].error or "a metric that is not a number"
        return cls(
            f"none of {number_of('trial', len(trials))} succeeded; the last one failed with {last}",
            hint="Narrow the families or their spaces, and inspect the failed trials: mlflow ui",
        )


@dataclass(frozen=True)
class SearchResult:
    """Result of a search.

    Attributes:
        trials: in order of their numbers.
        stop_reason: complete, out of time, or interrupted.
    """

    trials: tuple[Trial, ...]
    stop_reason: StopReason

    @property
    def searched(self) -> tuple[Trial, ...]:
        """The trials that the search proposed: all but the baseline, stacks and the blend."""
        return searched_trials(self.trials)

    def best(self, metric: str) -> Trial:
        """The trial with the least loss.

        Raises:
            SearchFailed: no trial succeeded.
        """
        if not any(np.isfinite(trial.loss(metric)) for trial in self.trials if trial.number != BASELINE):
            raise SearchFailed.after(self.searched)
        return best(self.trials, metric)

    @property
    def count(self) -> str:
        """The number of trials, stacks and blends."""
        stacks = sum(trial.candidate.family == STACK for trial in self.trials)
        counts = [number_of("trial", len(self.searched)), *([number_of("stack", stacks)] if stacks else [])]
        counts += ["a blend"] if any(blend_members(trial.candidate) for trial in self.trials) else []
        return " and ".join([", ".join(counts[:-1]), counts[-1]] if counts[1:] else counts)

    @property
    def baseline(self) -> Mapping[str, float]:
        """Metrics of the baseline on the folds; empty if it did not run."""
        return next((trial.metrics for trial in self.trials if trial.number == BASELINE), {})

    def unbeaten_baseline(self, metric: str) -> float | None:
        """Metric of the baseline, if no trial is better; else None."""
        least = self.best(metric).loss(metric)
        return next(
            (
                trial.metrics[metric]
                for trial in self.trials
                if trial.number == BASELINE and trial.loss(metric) <= least
            ),
            None,
        )


def searched_trials(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """The trials that a search proposed: all but the baseline, stacks and the blend."""
    return tuple(trial for trial in trials if FAMILIES[trial.candidate.family].searched)


def fit_seconds(candidates: Iterable[Candidate], trials: Sequence[Trial]) -> float:
    """Seconds that the candidates took on all folds, each part of an ensemble once. 0 for those without a trial."""
    parts = list[Candidate]()
    for part in chain.from_iterable(map(fitted_parts, candidates)):
        if part not in parts:
            parts.append(part)
    return sum(
        next((trial.duration.total_seconds() for trial in trials if trial.candidate == part), 0.0) for part in parts
    )
