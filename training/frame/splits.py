"""What is trained on, what is validated on, and the holdout: by time, or by entity where rows have no order.

By `time` and `window` the holdout is the end. By `group` and `stratified` it is the entities whose hash falls into
its share: an entity stays on its side however the tables grow, so that no later version is trained on it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.model_selection import GroupKFold, StratifiedKFold

from training.frame.frame import FrameRefused, TrainingFrame
from training.frame.labels import require_learnable, require_measurable
from training.use_case.use_case import SplitPlan as Plan

_HASH_KEY = "holdout entities"  # 16 characters, of which the hash depends


@dataclass(frozen=True)
class Split:
    """A frame cut in two: what is trained on, and the holdout that no trial sees."""

    training: TrainingFrame
    holdout: TrainingFrame


@dataclass(frozen=True)
class Fold:
    """Fit on some rows, validate on others; of a plan by time the others come later."""

    fit: TrainingFrame
    validate: TrainingFrame


def split(frame: TrainingFrame, plan: Plan) -> Split:
    """Cut off the holdout as the plan says.

    Raises:
        FrameRefused: a side has no rows, or lacks labels to learn from, or to measure on.
    """
    inside = after(frame, plan.holdout) if plan.in_time else hashed_below(frame.keys, plan.holdout)
    for what, there in (("the training part", ~inside), ("the holdout", inside)):
        if not there.any():
            raise FrameRefused.no_part(what, len(frame), plan.holdout)
    parts = Split(frame.rows(~inside), frame.rows(inside))
    require_learnable(parts.training, "the training part")
    require_measurable(parts.holdout, "the holdout")
    return parts


def folds(frame: TrainingFrame, plan: Plan, seed: int) -> Iterator[Fold]:
    """The folds of the training part.

    Raises:
        FrameRefused: a fold has no rows on a side, or lacks labels to learn from, or to measure on.
    """
    others = "the past of" if plan.in_time else "the folds beside"
    for number, (past, block) in enumerate(_FOLDS[plan.by](frame, plan, seed), start=1):
        fold = Fold(frame.rows(past), frame.rows(block))
        sides = {f"{others} fold {number}": fold.fit, f"fold {number}": fold.validate}
        for where, side in sides.items():
            if not len(side):
                raise FrameRefused.empty_fold(where, plan.folds, len(np.unique(frame.times)))
        require_learnable(fold.fit, f"{others} fold {number}")
        require_measurable(fold.validate, f"fold {number}")
        yield fold


def after(frame: TrainingFrame, share: float) -> npt.NDArray[np.bool_]:
    """(rows,) the last share of the rows by time. Rows of one time stay on one side."""
    first = min(int(len(frame) * (1 - share)), len(frame) - 1)  # a share may be too small for its difference from 1
    return np.asarray(frame.times >= frame.times[first])


def hashed_below(keys: npt.NDArray[Any], share: float) -> npt.NDArray[np.bool_]:
    """(rows,) the rows whose entity falls into the share by its hash, whatever the other rows are."""
    hashes = pd.util.hash_array(keys.astype(str).astype(object), hash_key=_HASH_KEY)
    return np.asarray(hashes < np.uint64(share * 2**64))


FoldIndices = Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]


def _rolling_origin(frame: TrainingFrame, plan: Plan, _seed: int) -> FoldIndices:
    """Each fold validates on the block that follows all it was fitted on."""
    count = plan.folds
    edges = [frame.times[len(frame) * i // (count + 1)] for i in range(1, count + 1)]
    ends = [*edges[1:], frame.times[-1] + np.timedelta64(1, "us")]
    for start, end in zip(edges, ends, strict=True):
        yield frame.times < start, (frame.times >= start) & (frame.times < end)


def _window(frame: TrainingFrame, plan: Plan, _seed: int) -> FoldIndices:
    """One fold, which validates on as large a share as the holdout is."""
    block = after(frame, plan.holdout)
    yield ~block, block


def _grouped(frame: TrainingFrame, plan: Plan, seed: int) -> FoldIndices:
    """An entity's rows are all in one fold."""
    places = pd.factorize(frame.keys.astype(str), sort=True)[0]
    return _sorted(GroupKFold(plan.folds, shuffle=True, random_state=seed).split(frame.x, groups=places))


def _stratified(frame: TrainingFrame, plan: Plan, seed: int) -> FoldIndices:
    """Every fold has the classes in the shares that all rows have."""
    return _sorted(StratifiedKFold(plan.folds, shuffle=True, random_state=seed).split(frame.x, frame.y))


def _sorted(drawn: Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]) -> FoldIndices:
    return ((np.sort(fit), np.sort(validate)) for fit, validate in drawn)


_FOLDS: Mapping[str, Callable[[TrainingFrame, Plan, int], FoldIndices]] = {
    "time": _rolling_origin,
    "window": _window,
    "group": _grouped,
    "stratified": _stratified,
}
