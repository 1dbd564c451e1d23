"""One trial: a family and its hyperparameters, tried on every fold."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from time import monotonic
from typing import Literal

import numpy as np

from scoring.scorer import predict
from training.evaluation.metrics import METRICS, evaluate
from training.frame.frame import TrainingFrame
from training.frame.splits import Fold
from training.models import FAMILIES
from training.search.fitting import fit
from training.search.pruning import PruningThreshold
from training.space.joint_space import Candidate

MetricValues = dict[str, float]
EarlyStop = Literal["timeout", "out_of_memory", "pruned"]
TrialStatus = Literal["ok", "failed"] | EarlyStop
BASELINE = 0  # the number of the trial that guesses; it is no part of a search, and never the best


@dataclass(frozen=True)
class TrialSpec:
    """A trial to run: what to try, and what it must not fall behind."""

    number: int
    candidate: Candidate
    bar: PruningThreshold | None = None


@dataclass(frozen=True)
class Trial:
    """What came of a candidate.

    Attributes:
        metrics: each metric's mean over the folds; empty where the trial did not come to its end.
        per_fold: the same, fold by fold in order; of a pruned trial, those it was tried on.
        error: why it did not come to its end, or None.
        stopped: what ended it, if neither itself nor an error of its own did.
    """

    number: int
    candidate: Candidate
    metrics: MetricValues
    per_fold: tuple[MetricValues, ...]
    duration: timedelta
    error: str | None = None
    stopped: EarlyStop | None = None

    @property
    def status(self) -> TrialStatus:
        return self.stopped or ("ok" if self.error is None else "failed")

    def loss(self, metric: str) -> float:
        """What the search minimises; infinite where the trial failed or the metric is no number."""
        loss = METRICS[metric].loss(self.metrics.get(metric, np.nan))
        return float("inf") if np.isnan(loss) else loss

    def fold_losses(self, metric: str) -> tuple[float, ...]:
        """The loss on each fold that it was tried on."""
        return tuple(METRICS[metric].loss(fold[metric]) for fold in self.per_fold)


@dataclass(frozen=True)
class Attempt:
    """How a task becomes a trial: fitted and scored on every fold, as long as it is not behind its bar.

    It is data: an executor may send it to another process or machine.

    Attributes:
        folds: what every candidate is tried on.
        threshold: from which probability on the decision is 1.
    """

    folds: Sequence[Fold]
    seed: int
    threshold: float

    def __call__(self, task: TrialSpec) -> Trial:
        """The trial. A candidate that cannot be fitted is a failed one, not an end."""
        begin, per_fold = monotonic(), list[MetricValues]()
        error, stopped = self._try(task, per_fold)
        kept = tuple(per_fold) if error is None or stopped == "pruned" else ()
        means = {name: float(np.mean([fold[name] for fold in kept])) for name in kept[0]} if error is None else {}
        return Trial(task.number, task.candidate, means, kept, timedelta(seconds=monotonic() - begin), error, stopped)

    def __getstate__(self) -> dict[str, object]:
        # Keys are often texts, which no two processes can share, and no fit asks for them.
        return {
            **self.__dict__,
            "folds": [Fold(_nameless(fold.fit), _nameless(fold.validate)) for fold in self.folds],
        }

    def _try(self, task: TrialSpec, per_fold: list[MetricValues]) -> tuple[str | None, EarlyStop | None]:
        """Fill `per_fold`; why that ended early, if it did."""
        try:
            for fold in self.folds:
                per_fold.append(_score(task.candidate, fold, self.seed, self.threshold))
                if task.bar is not None and (behind := task.bar.behind(per_fold)):
                    return behind, "pruned"
        except MemoryError as err:
            return f"MemoryError: {err}", "out_of_memory"
        except (ValueError, ArithmeticError, np.linalg.LinAlgError) as err:
            return f"{type(err).__name__}: {err}", None
        return None, None


def run_trial(number: int, candidate: Candidate, folds: Sequence[Fold], seed: int, threshold: float) -> Trial:
    """One candidate on the folds, by itself."""
    return Attempt(folds, seed, threshold)(TrialSpec(number, candidate))


def best(trials: Sequence[Trial], metric: str) -> Trial:
    """The trial of least loss, the one that guesses aside; of equal ones the earliest."""
    learned = (trial for trial in trials if trial.number != BASELINE)
    return min(learned, key=lambda trial: (trial.loss(metric), trial.number))


def _nameless(frame: TrainingFrame) -> TrainingFrame:
    return replace(frame, keys=np.zeros(len(frame), dtype=np.int8))


def _score(candidate: Candidate, fold: Fold, seed: int, threshold: float) -> MetricValues:
    rows, takes = fold.validate, FAMILIES[candidate.family].takes
    predicted = predict(fit(candidate, fold.fit, seed), rows.task, rows.inputs(takes))
    return evaluate(rows.task, rows.y, predicted, threshold)
