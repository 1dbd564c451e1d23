"""Training rows, validation rows and holdout, cut from a frame as the use case declares."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from training.frame.frame import FrameRefused, TrainingFrame
from training.frame.labels import require_learnable, require_measurable
from training.use_case.split import SplitPlan


@dataclass(frozen=True)
class Split:
    """A frame in two: the training rows, and the holdout that no trial sees."""

    training: TrainingFrame
    holdout: TrainingFrame


@dataclass(frozen=True)
class Fold:
    """Training rows and validation rows; in a split by time the validation rows are later."""

    fit: TrainingFrame
    validate: TrainingFrame


def split(frame: TrainingFrame, plan: SplitPlan) -> Split:
    """Cut off the holdout.

    Raises:
        FrameRefused: a side has no rows, or lacks labels to learn from or to measure on.
    """
    in_holdout = plan.kind.holdout(frame, plan.holdout)
    for side, rows in (("the training part", ~in_holdout), ("the holdout", in_holdout)):
        if not rows.any():
            raise FrameRefused.no_part(side, len(frame), plan.holdout)
    parts = Split(frame.rows(~in_holdout), frame.rows(in_holdout))
    require_learnable(parts.training, "the training part")
    require_measurable(parts.holdout, "the holdout")
    return parts


def folds(frame: TrainingFrame, plan: SplitPlan, seed: int) -> Iterator[Fold]:
    """The folds of the training part.

    Raises:
        FrameRefused: a fold has no rows on a side, or lacks labels to learn from or to measure on.
    """
    for number, (training, validation) in enumerate(plan.kind.folds(frame, plan, seed), start=1):
        fold = Fold(frame.rows(training), frame.rows(validation))
        sides = {f"the training part of fold {number}": fold.fit, f"fold {number}": fold.validate}
        for name, side in sides.items():
            if not len(side):
                raise FrameRefused.empty_fold(name, plan.folds, len(np.unique(frame.times)))
        require_learnable(fold.fit, f"the training part of fold {number}")
        require_measurable(fold.validate, f"fold {number}")
        yield fold
