"""Training rows, validation rows and holdout, cut from a frame as the use case declares."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from lakehouse.arrays import Mask
from training.frame.constants import without_constants
from training.frame.frame import TrainingFrame
from training.frame.labels import require_learnable, require_measurable
from training.frame.refusals import FrameRefused
from training.use_case.split import SplitPlan

DAY = 86_400_000_000  # microseconds


@dataclass(frozen=True)
class Split:
    """A frame in two: the training rows, and the holdout that no trial sees.

    Attributes:
        gap_rows: number of rows in the gap before the holdout, which are on neither side.
    """

    training: TrainingFrame
    holdout: TrainingFrame
    gap_rows: int = 0

    def close(self) -> None:
        """Free the rows that a search keeps on Spark."""
        if self.training.on_spark is not None:
            self.training.on_spark.source.close()

    def bounded(self) -> "Split":
        """The split in this process; of features on Spark a bounded sample."""
        return replace(self, training=self.training.bounded(), holdout=self.holdout.bounded())

    @property
    def seen_rows(self) -> int:
        """Number of holdout rows whose entity has training rows."""
        # Object keys are texts; numpy compares texts of its own type much faster.
        trained, held_out = (
            rows.keys.astype(str) if rows.keys.dtype == object else rows.keys
            for rows in (self.training, self.holdout)
        )
        return int(np.isin(held_out, trained).sum())


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
    in_holdout = plan.kind.holdout(frame, plan)
    for side, rows in (("the training part", ~in_holdout), ("the holdout", in_holdout)):
        if not rows.any():
            raise FrameRefused.no_part(side, len(frame), plan.holdout)
    in_training = _before_gap(frame, ~in_holdout, in_holdout, plan.gap, "the training part")
    frame = replace(frame, in_time=plan.in_time)
    gap_rows = len(frame) - int(in_training.sum()) - int(in_holdout.sum())
    parts = Split(frame.rows(in_training), frame.rows(in_holdout), gap_rows)
    require_learnable(parts.training, "the training part")
    require_measurable(parts.holdout, "the holdout")
    return parts


def training_split(frame: TrainingFrame, plan: SplitPlan) -> Split:
    """Cut off the holdout, and leave constant features out of the training rows.

    Raises:
        FrameRefused: as `split`, or every feature is constant on the training rows.
    """
    parts = split(frame, plan)
    return replace(parts, training=without_constants(parts.training))


def folds(frame: TrainingFrame, plan: SplitPlan, seed: int) -> Iterator[Fold]:
    """The folds of the training part.

    Raises:
        FrameRefused: a fold has no rows on a side, or lacks labels to learn from or to measure on.
    """
    frame = replace(frame, in_time=plan.in_time)
    for number, (training, validation) in enumerate(plan.kind.folds(frame, plan, seed), start=1):
        where = f"the training part of fold {number}"
        fold = Fold(frame.rows(_before_gap(frame, training, validation, plan.gap, where)), frame.rows(validation))
        sides = {where: fold.fit, f"fold {number}": fold.validate}
        for name, side in sides.items():
            if not len(side):
                raise FrameRefused.empty_fold(name, plan.folds, len(np.unique(frame.times)))
        require_learnable(fold.fit, where)
        require_measurable(fold.validate, f"fold {number}")
        yield fold


def _before_gap(frame: TrainingFrame, training: Mask, later: Mask, gap: float | None, where: str) -> Mask:
    """Training rows at least `gap` days older than the first later row: their labels look at no later row's time."""
    if gap is None or not training.any() or not later.any():
        return training
    start = frame.times[later].min()
    kept: Mask = training & (frame.times <= start - np.timedelta64(round(gap * DAY), "us"))
    if not kept.any():
        raise FrameRefused.all_in_gap(where, int(training.sum()), gap)
    return kept
