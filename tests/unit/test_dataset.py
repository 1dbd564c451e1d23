"""Splitting by time: what is validated on comes after what was fitted on."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.unit.frames import alternating, frame
from training.dataset import FrameRefused, rolling_origin, split_by_time


def test_the_holdout_is_the_last_share_by_time() -> None:
    split = split_by_time(alternating(100), 0.15)
    assert (len(split.training), len(split.holdout)) == (85, 15)
    assert split.training.last < split.holdout.first


def test_rows_of_one_time_stay_on_one_side() -> None:
    days = [0] * 10 + [1] * 6 + [2] * 4
    split = split_by_time(frame(days, [0, 1] * 10), 0.3)
    assert (len(split.training), len(split.holdout)) == (10, 10)


@pytest.mark.parametrize(
    ("labels", "where"), [([0] * 17 + [0, 1, 1], "the training part"), ([0, 1] * 8 + [1] * 4, "the holdout")]
)
def test_a_part_with_one_class_is_refused(labels: list[int], where: str) -> None:
    with pytest.raises(FrameRefused, match=f"{where} has only"):
        split_by_time(frame(range(20), labels), 0.15)


def test_rows_that_are_all_of_one_time_cannot_be_split() -> None:
    with pytest.raises(FrameRefused, match="the training part has only"):
        split_by_time(frame([5] * 20, [0, 1] * 10), 0.2)


@given(
    days=st.lists(st.integers(0, 40), min_size=30, max_size=80),
    folds=st.integers(1, 4),
)
def test_each_fold_validates_strictly_after_all_it_was_fitted_on(days: list[int], folds: int) -> None:
    rows = frame(sorted(days), [i % 2 for i in range(len(days))])
    try:
        rolled = list(rolling_origin(rows, folds))
    except FrameRefused:
        assume(False)
    assert all(fold.fit.times.max() < fold.validate.times.min() for fold in rolled)
    validated = np.concatenate([fold.validate.keys for fold in rolled])
    assert len(set(validated.tolist())) == len(validated)
    assert set(rolled[0].fit.keys.tolist()) | set(validated.tolist()) == set(rows.keys.tolist())


def test_equal_rows_have_equal_fingerprints_and_others_do_not() -> None:
    rows = alternating(20)
    assert rows.fingerprint() == alternating(20).fingerprint()
    changed = [
        alternating(20, seed=1),
        frame(range(20), [1, 0] * 10),
        frame(range(1, 21), [0, 1] * 10),
        alternating(19),
    ]
    assert len({rows.fingerprint(), *(other.fingerprint() for other in changed)}) == 5
