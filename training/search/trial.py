"""One trial: a family and its hyperparameters, tried on every fold."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Literal

import numpy as np
import numpy.typing as npt

from training.dataset import Fold, TrainingFrame
from training.evaluation import METRICS, evaluate
from training.models import FAMILIES
from training.search.space import Params


@dataclass(frozen=True)
class Candidate:
    """A point of the joint search space: the family and the real values of its hyperparameters."""

    family: str
    params: Params


@dataclass(frozen=True)
class Trial:
    """What came of a candidate.

    Attributes:
        metrics: each metric's mean over the folds; empty where the trial failed.
        per_fold: the same, fold by fold in order of time.
        error: why it failed, or None.
    """

    number: int
    candidate: Candidate
    metrics: dict[str, float]
    per_fold: tuple[dict[str, float], ...]
    duration: timedelta
    error: str | None = None

    @property
    def status(self) -> Literal["ok", "fail"]:
        return "ok" if self.error is None else "fail"

    def loss(self, metric: str) -> float:
        """What the search minimises; infinite where the trial failed or the metric is no number."""
        loss = METRICS[metric].loss(self.metrics.get(metric, np.nan))
        return float("inf") if np.isnan(loss) else loss


def run_trial(number: int, candidate: Candidate, folds: Sequence[Fold], seed: int, threshold: float) -> Trial:
    """Fit and score the candidate on every fold. A candidate that cannot be fitted is a failed trial, not an end."""
    begin = monotonic()
    error, per_fold = None, []
    try:
        per_fold = [_score(candidate, fold, seed, threshold) for fold in folds]
    except (ValueError, ArithmeticError, MemoryError, np.linalg.LinAlgError) as err:
        error, per_fold = f"{type(err).__name__}: {err}", []
    names = per_fold[0] if per_fold else {}
    means = {name: float(np.mean([fold[name] for fold in per_fold])) for name in names}
    return Trial(number, candidate, means, tuple(per_fold), timedelta(seconds=monotonic() - begin), error)


def fit(candidate: Candidate, frame: TrainingFrame, seed: int) -> object:
    """The candidate's pipeline, fitted on the whole frame."""
    return FAMILIES[candidate.family].fit(candidate.params, seed, frame.x, frame.y, ages_in_days(frame))


def ages_in_days(frame: TrainingFrame) -> npt.NDArray[np.float64]:
    """How many days each row lies before the newest one."""
    return np.asarray((frame.times[-1] - frame.times) / np.timedelta64(1, "D"), dtype=np.float64)


def _score(candidate: Candidate, fold: Fold, seed: int, threshold: float) -> dict[str, float]:
    pipeline = fit(candidate, fold.fit, seed)
    probabilities = pipeline.predict_proba(fold.validate.x)[:, 1]  # type: ignore[attr-defined]
    return evaluate(fold.validate.y, probabilities, threshold)
