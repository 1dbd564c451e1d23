"""Stacks after a search: boosters that read the features and the predictions of the best trials.

A booster learns from out-of-fold predictions (Wolpert, Stacked generalization, 1992): a base predicts rows that are
not its training rows, as it will in production. Trials keep these predictions, so that a base is fitted again for the
final model alone. The bases behind the training rows of a fold have seen labels of its validation rows. A cross-fit
inside of every fold would avoid that, and would fit every base once more for each pair of folds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats
from lakehouse.errors import LakehouseError
from training.frame.frame import OutOfFold, TrainingFrame
from training.frame.splits import folds
from training.search.blending import base_trials, final_estimator_trials, with_predictions
from training.search.ensemble_candidates import stack_candidate
from training.search.fitting import second_layer
from training.search.result import fit_seconds
from training.search.trial import Attempt, Trial, TrialSpec
from training.use_case.split import SplitPlan

# Of the time of the booster's trial: with predictions among its features it often needs fewer rounds. Time that is
# reserved for the refit is not used; a booster that needs more than the rest is stopped.
LEAST_SHARE = 0.5


class StackRefused(LakehouseError):
    """These trials cannot be stacked."""


@dataclass(frozen=True)
class Stacked:
    """Stacks of a search.

    Attributes:
        stacks: a trial of each.
        bases: the trials whose predictions they read, which keep them.
    """

    stacks: Sequence[Trial]
    bases: Sequence[Trial]


def stack(  # noqa: PLR0913, PLR0917  (all of it describes the search)
    trials: Sequence[Trial],
    frame: TrainingFrame,
    split: SplitPlan,
    attempt: Attempt,
    metric: str,
    most: int,
    seconds: float | None = None,
) -> Stacked:
    """Put the best boosters on the best trials of all families, each stack a new trial.

    Args:
        trials: trials of a search.
        frame: the training rows.
        split: the plan by which the folds were cut from them; they validate every row.
        attempt: holds these folds.
        most: largest number of stacks, each with another booster.
        seconds: time limit of the stacks and their refit. The last stacks are left out if it does not suffice.

    Raises:
        StackRefused: no trial of a booster or fewer than two families succeeded, or not even the first stack fits
            into the time limit; bases that kept no predictions count.
    """
    end = None if seconds is None else monotonic() + seconds
    bases, final_estimators = base_trials(trials, metric), final_estimator_trials(trials, metric)[:most]
    _require(bases, final_estimators)
    again = sum(trial.duration.total_seconds() for trial in bases if trial.predictions is None)
    if seconds is not None and again > seconds:
        raise StackRefused(
            f"fitting bases on the folds again takes {again:.1f} s, and {max(seconds, 0):.1f} s are left"
        )
    bases = with_predictions(bases, attempt)
    below = [trial.candidate for trial in bases]
    frame = with_out_of_fold(frame, split, attempt.seed, bases)
    on_predictions = replace(attempt, folds=list(folds(second_layer(frame, below), split, attempt.seed)))
    stacks, number = list[Trial](), max(trial.number for trial in trials)
    for trial in final_estimators:
        refit = attempt.refits * fit_seconds([*below, trial.candidate], trials)
        needed = LEAST_SHARE * trial.duration.total_seconds() + refit
        if end is not None and monotonic() + needed > end:
            break
        spec = TrialSpec(number + len(stacks) + 1, trial.candidate, deadline=None if end is None else end - refit)
        stacks.append(replace(on_predictions(spec), candidate=stack_candidate(below, trial.candidate)))
    if not stacks:
        left = max(seconds or 0.0, 0.0)
        raise StackRefused(f"the first one takes {needed:.1f} s or more with its refit, and {left:.1f} s are left")
    return Stacked(stacks, bases)


def with_out_of_fold(frame: TrainingFrame, split: SplitPlan, seed: int, trials: Sequence[Trial]) -> TrainingFrame:
    """The training rows with the predictions that these trials kept, from which stacks learn.

    Args:
        split: the plan by which the folds of the trials were cut; they validate every row.
    """
    validated = [validate for _, validate in split.kind.folds(frame, split, seed)]
    found = [
        OutOfFold(trial.candidate, _in_order(trial.predictions, validated, len(frame)))
        for trial in trials
        if trial.predictions is not None
    ]
    return replace(frame, out_of_fold=tuple(found))


def _in_order(predictions: Sequence[Floats], validated: Sequence[npt.NDArray[Any]], rows: int) -> Floats:
    """The predictions of all folds in the order of the rows."""
    ordered = np.empty((rows, *predictions[0].shape[1:]))
    for predicted, validate in zip(predictions, validated, strict=True):
        ordered[validate] = predicted
    return ordered


def _require(bases: Sequence[Trial], final_estimators: Sequence[Trial]) -> None:
    if not final_estimators:
        raise StackRefused("no trial of a booster succeeded")
    if len(bases) < 2:
        raise StackRefused(f"only {bases[0].candidate.family} succeeded, and a stack takes two families")
