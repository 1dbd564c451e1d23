"""The blend after a search: a weighted average of the best trials. It wins only if it is better on the folds.

Weights are chosen greedily, with replacement, by the metric of the search (Caruana et al., Ensemble selection from
libraries of models, 2004). All measurements are out of fold: a member predicts rows that are not its training rows,
and the weights that score a fold are chosen on the other folds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import accumulate
from time import monotonic

import numpy as np
from sklearn.pipeline import Pipeline

from lakehouse.arrays import Floats
from lakehouse.errors import LakehouseError
from lakehouse.wording import number_of
from scoring.predictions import weighted_average
from scoring.tasks import Task
from training.evaluation.metrics import METRICS, Targets, evaluate
from training.models import FAMILIES
from training.search.ensemble_candidates import STACK, blend_candidate
from training.search.fitting import fit_each, fitted_blend, predict
from training.search.result import fit_seconds
from training.search.trial import Attempt, Trial, fold_means
from training.space.joint_space import Candidate

PICKS = 12  # weights are multiples of a twelfth
PER_FAMILY = 2  # members, or a third of the blend if that is more; more of one family predict nearly the same


@dataclass(frozen=True)
class MemberPredictions:
    """Labels of a fold's validation rows, and the predictions of each member."""

    labels: Targets
    predicted: Sequence[Floats]


@dataclass(frozen=True)
class WeightSelector:
    """Chooses the weights of a blend by a metric."""

    task: Task
    metric: str
    threshold: float

    def loss(self, folds: Sequence[MemberPredictions], weights: Sequence[float]) -> float:
        """Mean loss over the folds, as for trials."""
        return float(np.mean([self._fold_loss(fold, weights) for fold in folds]))

    def weights(self, folds: Sequence[MemberPredictions], members: int) -> tuple[float, ...]:
        """Weights of least loss on the folds; equal weights without folds."""
        if not folds:
            return (1 / members,) * members
        picks = np.zeros(members)
        best, least = picks, float("inf")
        for _ in range(PICKS):
            losses = [self.loss(folds, _weights_after(picks, member)) for member in range(members)]
            picks[int(np.argmin(losses))] += 1
            if min(losses) < least:
                best, least = picks.copy(), min(losses)
        return tuple((best / best.sum()).tolist())

    def weights_per_fold(self, folds: Sequence[MemberPredictions], members: int) -> list[tuple[float, ...]]:
        """Weights for each fold, chosen on the other folds."""
        return [self.weights([*folds[:index], *folds[index + 1 :]], members) for index in range(len(folds))]

    def _fold_loss(self, fold: MemberPredictions, weights: Sequence[float]) -> float:
        metric = METRICS[self.metric]
        return metric.loss(metric.function(fold.labels, weighted_average(fold.predicted, weights), self.threshold))


class BlendRefused(LakehouseError):
    """These trials cannot be blended."""


def blend(trials: Sequence[Trial], attempt: Attempt, metric: str, most: int, seconds: float | None = None) -> Trial:
    """Blend the best trials into a new trial, from the predictions that they kept.

    Args:
        trials: trials of a search.
        attempt: holds the folds of these trials.
        most: largest number of members.
        seconds: time limit of the blend and its refit, which decides how many of the best trials may be members. A
            trial without predictions is fitted on the folds again, which takes as long as the trial took.

    Raises:
        BlendRefused: fewer than two trials exist, fit into the time limit, or get a weight.
    """
    start = monotonic()
    blended = _affordable(trials, attempt, metric, most, seconds)
    candidates = [trial.candidate for trial in blended]
    task = attempt.folds[0].validate.task
    selector = WeightSelector(task, metric, attempt.threshold)
    folds = _predictions(blended, attempt)
    weights = selector.weights(folds if len(folds) > 1 else [], len(candidates))
    members = [(weight, candidate) for weight, candidate in zip(weights, candidates, strict=True) if weight > 0]
    if len(members) < 2:
        raise BlendRefused(f"of the {len(candidates)} best trials one alone is better on the folds")
    predictions = tuple(
        weighted_average(fold.predicted, fold_weights)
        for fold, fold_weights in zip(folds, selector.weights_per_fold(folds, len(candidates)), strict=True)
    )
    per_fold = [
        evaluate(task, fold.labels, predicted, attempt.threshold)
        for fold, predicted in zip(folds, predictions, strict=True)
    ]
    number, duration = max(trial.number for trial in trials) + 1, timedelta(seconds=monotonic() - start)
    candidate = blend_candidate(members, len(candidates))
    return Trial(number, candidate, fold_means(per_fold), tuple(per_fold), duration, predictions=predictions)


def finishing_seconds(trials: Sequence[Trial], metric: str, most: int, stacks: int, refits: float) -> float:
    """Estimated fit times after a search of the best trials: for stacks, the blend, the refit and the report.

    Args:
        most: largest number of members of the blend; 0 for no blend.
        stacks: largest number of stacks.
        refits: duration of a refit, for each second of a trial.
    """
    members = _best(trials, metric, max(most, 1))
    blended = sum(trial.duration.total_seconds() for trial in members if most and trial.predictions is None)
    final_estimators = final_estimator_trials(trials, metric)[:stacks]
    stacked = sum(trial.duration.total_seconds() for trial in final_estimators)
    used = [*members, *(base_trials(trials, metric) if final_estimators else ())]
    fitted = fit_seconds([trial.candidate for trial in used], trials)
    return blended + stacked + (refits + 1) * (fitted + stacked)


def keep_predictions(trials: Mapping[int, Trial], metric: str, most: int, stacks: int) -> dict[int, Trial]:
    """The trials by number; only those that a blend or a stack would take, and the best one, keep predictions."""
    used = [*_best(trials.values(), metric, max(most, 1)), *(base_trials(trials.values(), metric) if stacks else ())]
    kept = {trial.number for trial in used}
    return {
        number: trial if number in kept or trial.predictions is None else replace(trial, predictions=None)
        for number, trial in trials.items()
    }


def _affordable(
    trials: Sequence[Trial], attempt: Attempt, metric: str, most: int, seconds: float | None
) -> Sequence[Trial]:
    """The best trials that a blend within the time limit can choose from."""
    best = _best(trials, metric, most)
    if len(best) < 2:
        raise BlendRefused(f"{number_of('distinct trial', len(best))} succeeded, and a blend takes two")
    if seconds is None:
        return best
    again = accumulate(trial.duration.total_seconds() * (trial.predictions is None) for trial in best)
    needed = [
        seconds_again + attempt.refits * fit_seconds([trial.candidate for trial in best[:count]], trials)
        for count, seconds_again in enumerate(again, start=1)
    ]
    count = sum(total <= seconds for total in needed)
    if count < 2:
        raise BlendRefused(
            f"the two best trials take {needed[1]:.1f} s to fit again, and {max(seconds, 0):.1f} s are left"
        )
    return best[:count]


def blends_of_folds(trials: Sequence[Trial], attempt: Attempt, metric: str, most: int) -> list[Pipeline]:
    """The blend of each fold that `blend` scores: fitted on the fold, with weights chosen on the other folds."""
    candidates = select_candidates(trials, metric, most)
    fitted, folds = _fit_on_folds(candidates, attempt)
    selector = WeightSelector(attempt.folds[0].validate.task, metric, attempt.threshold)
    weights_per_fold = selector.weights_per_fold(folds, len(candidates))
    blends = []
    for weights, pipelines, fold in zip(weights_per_fold, fitted, attempt.folds, strict=True):
        used = [index for index, weight in enumerate(weights) if weight > 0]
        members = [(weights[index], candidates[index]) for index in used]
        blends.append(fitted_blend(members, [pipelines[index] for index in used], fold.fit))
    return blends


def base_trials(trials: Iterable[Trial], metric: str) -> list[Trial]:
    """The bases of a stack: the best trial of each family, best first, and of all boosters the best one alone.

    Boosters predict nearly the same, and each is fitted again with the stack.
    """
    best = _best_of_families(trials, metric)
    boosters = [trial for trial in best if FAMILIES[trial.candidate.family].ends_stacks]
    return [trial for trial in best if trial not in boosters[1:]]


def final_estimator_trials(trials: Iterable[Trial], metric: str) -> list[Trial]:
    """The best trial of each family that may end a stack, best first."""
    return [trial for trial in _best_of_families(trials, metric) if FAMILIES[trial.candidate.family].ends_stacks]


def _best_of_families(trials: Iterable[Trial], metric: str) -> list[Trial]:
    """The best trial of each family that is fitted in this process, best first."""
    best: dict[str, Trial] = {}
    for trial in _by_loss(trials, metric):
        family = FAMILIES[trial.candidate.family]
        if family.searched and family.fits_on == "process":
            best.setdefault(family.name, trial)
    return list(best.values())


def select_candidates(trials: Sequence[Trial], metric: str, most: int) -> list[Candidate]:
    """The best distinct candidates that a blend may take."""
    return [trial.candidate for trial in _best(trials, metric, most)]


def _best(trials: Iterable[Trial], metric: str, most: int) -> list[Trial]:
    """Trials of distinct candidates, best first: at most `most`, two of a family or a third of `most`."""
    selected: list[Trial] = []
    for trial in _by_loss(trials, metric):
        candidates = [other.candidate for other in selected]
        of_family = sum(trial.candidate.family == candidate.family for candidate in candidates)
        if trial.candidate not in candidates and of_family < max(PER_FAMILY, most // 3):
            selected.append(trial)
    return selected[:most]


def _by_loss(trials: Iterable[Trial], metric: str) -> list[Trial]:
    """The complete trials of the search and its stacks, best first."""
    complete = [
        trial
        for trial in trials
        if (FAMILIES[trial.candidate.family].searched or trial.candidate.family == STACK)
        and trial.status == "ok"
        and np.isfinite(trial.loss(metric))
    ]
    return sorted(complete, key=lambda trial: (trial.loss(metric), trial.number))


def _predictions(trials: Sequence[Trial], attempt: Attempt) -> list[MemberPredictions]:
    """Predictions of every trial for each fold; a trial that did not keep them is fitted again."""
    kept = [trial.predictions or () for trial in with_predictions(trials, attempt)]
    return [
        MemberPredictions(fold.validate.y, [predictions[index] for predictions in kept])
        for index, fold in enumerate(attempt.folds)
    ]


def with_predictions(trials: Sequence[Trial], attempt: Attempt) -> list[Trial]:
    """The trials with their predictions for each fold; those that kept none are fitted again."""
    again = [trial.candidate for trial in trials if trial.predictions is None]
    if not again:
        return list(trials)
    _, folds = _fit_on_folds(again, attempt)
    fitted = iter([tuple(fold.predicted[index] for fold in folds) for index in range(len(again))])
    return [replace(trial, predictions=next(fitted)) if trial.predictions is None else trial for trial in trials]


def _fit_on_folds(
    candidates: Sequence[Candidate], attempt: Attempt
) -> tuple[list[list[Pipeline]], list[MemberPredictions]]:
    """Fit every candidate on each fold, and predict the fold's validation rows."""
    fitted = [fit_each(candidates, fold.fit, attempt.seed) for fold in attempt.folds]
    folds = [
        MemberPredictions(
            fold.validate.y,
            [
                predict(candidate, pipeline, fold.validate)
                for pipeline, candidate in zip(pipelines, candidates, strict=True)
            ],
        )
        for fold, pipelines in zip(attempt.folds, fitted, strict=True)
    ]
    return fitted, folds


def _weights_after(picks: Floats, member: int) -> tuple[float, ...]:
    """The weights after one more pick of this member."""
    more = picks.copy()
    more[member] += 1
    return tuple((more / more.sum()).tolist())
