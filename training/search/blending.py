"""The stage after the search: a blend of the best trials, which wins only where the folds say that it is better.

Weights are chosen greedily, with replacement, by the metric of the search (Caruana et al., Ensemble selection from
libraries of models, 2004). Everything is measured out of the fold: a member predicts rows that it was not fitted on,
and the weights by which a fold is measured are chosen on the other folds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

import numpy as np
from sklearn.pipeline import Pipeline

from lakehouse.arrays import Floats
from scoring.estimators.blend import averaged
from scoring.scorer import predict
from training.evaluation.metrics import METRICS, Targets, Task, evaluate
from training.frame.splits import Fold
from training.models import FAMILIES
from training.search.blend_candidate import blended
from training.search.fitting import fit, together
from training.search.trial import Attempt, Trial
from training.space.joint_space import Candidate

PICKS = 12  # a weight is so many twelfths
OF_ONE_FAMILY = 2  # members at most: more of a kind say the same


@dataclass(frozen=True)
class Judged:
    """What each member said of a fold's validation rows."""

    labels: Targets
    predicted: Sequence[Floats]


@dataclass(frozen=True)
class Judge:
    """By what weights are chosen."""

    task: Task
    metric: str
    threshold: float

    def loss(self, folds: Sequence[Judged], weights: Sequence[float]) -> float:
        """The mean over the folds, as trials are compared."""
        metric = METRICS[self.metric]
        return float(
            np.mean(
                [
                    metric.loss(metric.function(fold.labels, averaged(fold.predicted, weights), self.threshold))
                    for fold in folds
                ]
            )
        )

    def weights(self, folds: Sequence[Judged], members: int) -> tuple[float, ...]:
        """The weights of least loss on the folds; equal ones where there is none to choose by."""
        if not folds:
            return (1 / members,) * members
        picks = np.zeros(members)
        best, least = picks, float("inf")
        for _ in range(PICKS):
            losses = [self.loss(folds, _shares(picks, place)) for place in range(members)]
            picks[int(np.argmin(losses))] += 1
            if min(losses) < least:
                best, least = picks.copy(), min(losses)
        return tuple((best / best.sum()).tolist())

    def apart(self, folds: Sequence[Judged], members: int) -> list[tuple[float, ...]]:
        """For each fold the weights that the others choose."""
        return [self.weights([*folds[:place], *folds[place + 1 :]], members) for place in range(len(folds))]


def blend(trials: Sequence[Trial], attempt: Attempt, metric: str, most: int) -> Trial | None:
    """The blend of the best `most` trials as a trial of its own; None where there are no two to blend.

    Args:
        trials: of a search that came to its end.
        attempt: the folds that they were tried on.
        most: how many may be blended.
    """
    begin = monotonic()
    candidates = chosen(trials, metric, most)
    if len(candidates) < 2:
        return None
    task = attempt.folds[0].validate.task
    judge = Judge(task, metric, attempt.threshold)
    _, folds = _apart(candidates, attempt)
    weights = judge.weights(folds if len(folds) > 1 else [], len(candidates))
    members = [(weight, one) for weight, one in zip(weights, candidates, strict=True) if weight > 0]
    if len(members) < 2:
        return None
    per_fold = [
        evaluate(task, fold.labels, averaged(fold.predicted, apart), attempt.threshold)
        for fold, apart in zip(folds, judge.apart(folds, len(candidates)), strict=True)
    ]
    means = {name: float(np.mean([metrics[name] for metrics in per_fold])) for name in per_fold[0]}
    number, duration = max(trial.number for trial in trials) + 1, timedelta(seconds=monotonic() - begin)
    return Trial(number, blended(members), means, tuple(per_fold), duration)


def measured(trials: Sequence[Trial], attempt: Attempt, metric: str, most: int) -> list[Pipeline]:
    """What `blend` measured each fold by: members fitted beside it, with the weights that the other folds choose."""
    candidates = chosen(trials, metric, most)
    fitted, folds = _apart(candidates, attempt)
    judge = Judge(attempt.folds[0].validate.task, metric, attempt.threshold)
    weights = judge.apart(folds, len(candidates))
    found = []
    for apart, pipelines, fold in zip(weights, fitted, attempt.folds, strict=True):
        taken = [place for place, weight in enumerate(apart) if weight > 0]
        parts = [(apart[place], candidates[place]) for place in taken]
        found.append(together(parts, [pipelines[place] for place in taken], fold.fit))
    return found


def chosen(trials: Sequence[Trial], metric: str, most: int) -> list[Candidate]:
    """The best candidates that differ, at most two of a family."""
    able = [trial for trial in trials if FAMILIES[trial.candidate.family].searched and trial.status == "ok"]
    found: list[Candidate] = []
    for trial in sorted(able, key=lambda trial: (trial.loss(metric), trial.number)):
        alike = sum(trial.candidate.family == other.family for other in found)
        if np.isfinite(trial.loss(metric)) and trial.candidate not in found and alike < OF_ONE_FAMILY:
            found.append(trial.candidate)
    return found[:most]


def _apart(candidates: Sequence[Candidate], attempt: Attempt) -> tuple[list[list[Pipeline]], list[Judged]]:
    """Of each fold every candidate fitted beside it, and what it says of the rows there."""
    fitted = [[fit(one, fold.fit, attempt.seed) for one in candidates] for fold in attempt.folds]
    folds = [
        Judged(
            fold.validate.y,
            [_said(pipeline, one, fold) for pipeline, one in zip(pipelines, candidates, strict=True)],
        )
        for fold, pipelines in zip(attempt.folds, fitted, strict=True)
    ]
    return fitted, folds


def _said(pipeline: Pipeline, candidate: Candidate, fold: Fold) -> Floats:
    rows = fold.validate
    return predict(pipeline, rows.task, rows.inputs(FAMILIES[candidate.family].takes))


def _shares(picks: Floats, place: int) -> tuple[float, ...]:
    """The weights if this member were picked next."""
    more = picks.copy()
    more[place] += 1
    return tuple((more / more.sum()).tolist())
