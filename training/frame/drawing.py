"""Rows drawn at random from a frame, by class and by entity."""

from typing import Any

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Indices, Mask
from training.frame.frame import TrainingFrame


def draw_rows(frame: TrainingFrame, share: float, seed: int) -> Mask:
    """(rows,) True for about this share of the rows; all rows of an entity are on one side.

    Every class has about the same share. The draw depends on the seed, the labels and which rows share an entity.
    """
    entities = numbered(frame.keys)
    if len(frame) > 1 and not entities.any():  # of a single entity, rows are drawn
        entities = np.arange(len(frame))
    sizes = np.bincount(entities)
    strata = _strata(frame, entities, len(sizes))
    order = np.random.default_rng(seed).permutation(len(sizes))
    drawn = np.zeros(len(sizes), dtype=np.bool_)
    for stratum in np.unique(strata):
        members = order[strata[order] == stratum]
        ends = np.cumsum(sizes[members])
        drawn[members[ends - sizes[members] / 2 <= share * ends[-1]]] = True
    if not drawn.any():  # few entities: one of them is more than the share
        drawn[order[0]] = True
    return np.asarray(drawn[entities])


def sample(frame: TrainingFrame, count: int, seed: int) -> Mask:
    """(rows,) True for about `count` rows, of every class at least one; for all rows if there are fewer."""
    if len(frame) <= count:
        return np.ones(len(frame), dtype=np.bool_)
    classes = frame.y if frame.task.predicts_classes else np.zeros(len(frame), dtype=np.intp)
    order, drawn = np.random.default_rng(seed).permutation(len(frame)), np.zeros(len(frame), dtype=np.bool_)
    for each in np.unique(classes):
        members = order[classes[order] == each]
        drawn[members[: max(1, round(len(members) * count / len(frame)))]] = True
    return drawn


def numbered(keys: npt.NDArray[Any]) -> Indices:
    """(rows,) the number of each row's entity, in order of appearance.

    >>> numbered(np.asarray(["b", "a", "b"], dtype=object)).tolist()
    [0, 1, 0]
    """
    import pandas as pd

    return np.asarray(pd.factorize(keys)[0], dtype=np.intp)


def _strata(frame: TrainingFrame, entities: Indices, count: int) -> Indices:
    """(entities,) the rarest class of each entity's rows, so that rare classes are spread too; 0 for numbers."""
    if not frame.task.predicts_classes:
        return np.zeros(count, dtype=np.intp)
    ranks = np.argsort(np.argsort(np.bincount(frame.y, minlength=len(frame.classes)), kind="stable"))
    strata = np.full(count, len(ranks), dtype=np.intp)
    np.minimum.at(strata, entities, ranks[frame.y])
    return strata
