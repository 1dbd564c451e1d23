"""Splits by time: validation rows are later than training rows."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.frames import alternating, by_time, frame
from training.frame import splits
from training.frame.frame import TrainingFrame
from training.frame.refusals import FrameRefused
from training.use_case.split import SplitPlan as Plan
from training.use_case.split import after

# Rows of each day: few rows of many days, so that every cut leaves both labels on both sides.
a_day = st.lists(st.integers(1, 5), min_size=30, max_size=60)


def daily(rows: list[int]) -> TrainingFrame:
    """The given count of rows on each day, with alternating labels."""
    return frame(np.repeat(np.arange(len(rows)), rows).tolist(), [i % 2 for i in range(sum(rows))])


def test_the_holdout_is_the_last_share_by_time() -> None:
    split = splits.split(alternating(100), by_time(holdout=0.15))
    assert (len(split.training), len(split.holdout)) == (85, 15)
    assert split.training.last < split.holdout.first


def test_rows_of_one_time_stay_on_one_side() -> None:
    days = [0] * 10 + [1] * 6 + [2] * 4
    split = splits.split(frame(days, [0, 1] * 10), by_time(holdout=0.3))
    assert (len(split.training), len(split.holdout)) == (10, 10)


@pytest.mark.parametrize(
    ("labels", "where"), [([0] * 17 + [0, 1, 1], "the training part"), ([0, 1] * 8 + [1] * 4, "the holdout")]
)
def test_sides_with_one_class_are_refused(labels: list[int], where: str) -> None:
    with pytest.raises(FrameRefused, match=f"{where} has only"):
        splits.split(frame(range(20), labels), by_time(holdout=0.15))


def test_rows_of_a_single_time_cannot_be_split() -> None:
    with pytest.raises(FrameRefused, match=r"the training part has no rows: 20 rows are cut at a share of 0\.2"):
        splits.split(frame([5] * 20, [0, 1] * 10), by_time(holdout=0.2))


def test_holdout_of_a_tiny_share_is_not_empty() -> None:
    assert after(alternating(10), 1e-18).tolist() == [False] * 9 + [True]
    with pytest.raises(FrameRefused, match="the holdout has no rows: 10 rows are cut at a share of 1e-06"):
        splits.split(alternating(10), Plan(by="group", holdout=1e-6))


@given(a_day, st.integers(1, 4))
def test_validation_rows_are_later_than_training_rows(each: list[int], folds: int) -> None:
    rows = daily(each)
    rolled = list(splits.folds(rows, by_time(folds=folds), 0))
    assert len(rolled) == folds
    assert all(fold.fit.times.max() < fold.validate.times.min() for fold in rolled)
    validated = np.concatenate([fold.validate.keys for fold in rolled])
    assert len(set(validated.tolist())) == len(validated)
    assert set(rolled[0].fit.keys.tolist()) | set(validated.tolist()) == set(rows.keys.tolist())


def test_fingerprints_are_equal_only_for_equal_rows() -> None:
    rows = alternating(20)
    assert rows.fingerprint() == alternating(20).fingerprint()
    changed = [
        alternating(20, seed=1),
        frame(range(20), [1, 0] * 10),
        frame(range(1, 21), [0, 1] * 10),
        alternating(19),
    ]
    assert len({rows.fingerprint(), *(other.fingerprint() for other in changed)}) == 5


@given(a_day, st.floats(0.05, 0.45))
def test_split_keeps_every_row_once_with_the_holdout_last(each: list[int], holdout: float) -> None:
    rows = daily(each)
    split = splits.split(rows, by_time(holdout=holdout))
    assert split.training.times.max() < split.holdout.times.min()
    assert [*split.training.keys, *split.holdout.keys] == rows.keys.tolist()
    assert len(split.holdout) >= holdout * len(rows) - 1e-9  # a share is not exact in binary


@pytest.mark.parametrize("folds", [1, 2, 4, 9])
def test_folds_have_equal_blocks_for_evenly_spaced_rows(folds: int) -> None:
    rolled = list(splits.folds(alternating(100), by_time(folds=folds), 0))
    block = 100 / (folds + 1)
    assert [len(fold.fit) for fold in rolled] == [int(block * i) for i in range(1, folds + 1)]
    assert sum(len(fold.validate) for fold in rolled) == 100 - int(block)
    assert rolled[-1].validate.last == alternating(100).last


@pytest.mark.parametrize(
    ("labels", "where"),
    [
        pytest.param([0] * 10 + [0, 1] * 10, "the training part of fold 1 has only [0]", id="training part"),
        pytest.param([0, 1] * 5 + [1] * 10 + [0, 1] * 5, "fold 1 has only [1]", id="block"),
        pytest.param([0, 1] * 10 + [0] * 10, "fold 2 has only [0]", id="last block"),
    ],
)
def test_error_of_a_fold_with_one_class_names_the_fold(labels: list[int], where: str) -> None:
    with pytest.raises(FrameRefused) as refused:
        list(splits.folds(frame(range(30), labels), by_time(folds=2), 0))
    assert where in refused.value.failed
    assert "labels" in str(refused.value.hint)


def test_more_folds_than_distinct_times_are_refused() -> None:
    with pytest.raises(FrameRefused, match=r"fold 1 has no rows: `folds: 3` cuts rows of 2 distinct times"):
        list(splits.folds(frame([0] * 5 + [1] * 15, [0, 1] * 10), by_time(folds=3), 0))


@pytest.mark.parametrize(
    "selected", [np.array([4, 2, 9]), np.array([i in {2, 4, 9} for i in range(20)])], ids=["places", "mask"]
)
def test_selecting_rows_selects_every_array(selected: npt.NDArray[Any]) -> None:
    whole = alternating(20)
    part = whole.rows(selected)
    assert part.keys.tolist() == np.arange(20)[selected].tolist()
    for key, row in zip(part.keys, range(len(part)), strict=True):
        assert part.y[row] == whole.y[key]
        assert part.times[row] == whole.times[key]
        assert part.x[[row]].toarray().tolist() == whole.x[[key]].toarray().tolist()
        assert [values[row] for values in part.features.values()] == [v[key] for v in whole.features.values()]
    assert (part.columns, part.encoder, part.sources) == (whole.columns, whole.encoder, whole.sources)


def test_first_and_last_time_are_in_utc() -> None:
    rows = frame([3, 5, 8], [0, 1, 0])
    assert (rows.first, rows.last) == (datetime(2020, 1, 4, tzinfo=UTC), datetime(2020, 1, 9, tzinfo=UTC))


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(lambda rows: replace(rows, keys=rows.keys[::-1]), id="keys"),
        pytest.param(lambda rows: replace(rows, times=rows.times + np.timedelta64(1, "us")), id="times"),
        pytest.param(lambda rows: replace(rows, y=1 - rows.y), id="labels"),
        pytest.param(lambda rows: replace(rows, x=rows.x * 2), id="values"),
        pytest.param(lambda rows: rows.rows(np.arange(19)), id="number of rows"),
        pytest.param(lambda rows: rows.rows(np.arange(20)[::-1]), id="order of rows"),
    ],
)
def test_fingerprint_changes_with_every_array(changed: Callable[[TrainingFrame], TrainingFrame]) -> None:
    rows = alternating(20)
    assert changed(rows).fingerprint() != rows.fingerprint()


def test_fingerprint_does_not_depend_on_earlier_selections() -> None:
    rows = alternating(20)
    assert rows.rows(np.ones(20, dtype=bool)).fingerprint() == rows.fingerprint()
    assert alternating(30).rows(np.arange(10)).rows(np.arange(5)).fingerprint() == (
        alternating(30).rows(np.arange(5)).fingerprint()
    )
    assert replace(rows, times=rows.times.astype("datetime64[ns]")).fingerprint() == rows.fingerprint()
