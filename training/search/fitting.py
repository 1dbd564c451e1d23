"""Fitting: a candidate becomes a fitted pipeline, in a trial and in the refit alike."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from scoring.estimators.blend import Blend
from scoring.estimators.column_subset import ColumnSubset
from training.frame.frame import TrainingFrame
from training.frame.raw_inputs import without
from training.models import FAMILIES
from training.models.family import DataFacts, Family
from training.search.blend_candidate import Members, members
from training.space.joint_space import Candidate
from training.space.left_out_inputs import left_out, others
from training.space.space import Params


def fit(candidate: Candidate, frame: TrainingFrame, seed: int) -> Pipeline:
    """The candidate's pipeline, fitted on the whole frame; it takes whole rows, also where it leaves out inputs.

    Raises:
        ValueError: it leaves out all of them.
    """
    if blended := members(candidate):
        return together(blended, [fit(member, frame, seed) for _, member in blended], frame)
    family, gone, params = FAMILIES[candidate.family], left_out(candidate.params), others(candidate.params)
    if not gone:
        return _fit(family, params, seed, frame)
    kept, places = without(frame, gone, family.takes)
    return Pipeline([("kept", ColumnSubset(places)), *_fit(family, params, seed, kept).steps])


def together(blended: Members, fitted: Sequence[Pipeline], frame: TrainingFrame) -> Pipeline:
    """The pipeline of a blend whose members are fitted, each on the rows of the frame."""
    blend = Blend(
        frame.task,
        fitted,
        [FAMILIES[member.family].takes for _, member in blended],
        [weight for weight, _ in blended],
        dict(frame.encoder.categories()),
    )
    return Pipeline([("model", blend)])


def recency_weights(ages: npt.NDArray[np.float64], half_life_days: object) -> npt.NDArray[np.float64]:
    """A weight for each row that halves with every half-life of its age; 1 for all without one.

    >>> recency_weights(np.array([0.0, 30.0, 60.0]), 30).tolist()
    [1.0, 0.5, 0.25]
    """
    if half_life_days is None:
        return np.ones_like(ages)
    return np.asarray(np.exp2(-ages / float(str(half_life_days))), dtype=np.float64)


def ages_in_days(frame: TrainingFrame) -> npt.NDArray[np.float64]:
    """(rows,) how many days each row lies before the newest one."""
    return np.asarray((frame.times[-1] - frame.times) / np.timedelta64(1, "D"), dtype=np.float64)


def _fit(family: Family, params: Params, seed: int, frame: TrainingFrame) -> Pipeline:
    """A fitted pipeline of the family.

    One thread fits it: those of OpenMP wait for each other by spinning, and beside other work two of them took 14
    times as long as one.
    """
    options = {}
    if family.takes_weights:
        weights = recency_weights(ages_in_days(frame), params.get("recency_half_life_days"))
        options = {"model__sample_weight": weights}
    given = DataFacts(frame.task, len(frame.classes), frame.encoder.categories())
    with threadpool_limits(1, user_api="openmp"):
        return family.build(params, seed, given).fit(frame.inputs(family.takes), frame.y, **options)
