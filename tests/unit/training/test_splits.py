"""Splits by group, label and window: stable sides of entities, and disjoint validation rows."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from tests.unit.frames import alternating
from training.frame.frame import TrainingFrame
from training.frame.refusals import FrameRefused
from training.frame.splits import Split, folds, split
from training.use_case.split import SplitPlan as Plan


def of_entities(entities: int, rows_each: int) -> TrainingFrame:
    rows = alternating(entities * rows_each)
    return replace(rows, keys=np.repeat(np.arange(entities), rows_each).astype(str).astype(object))


def entities(frame: TrainingFrame) -> set[str]:
    return set(frame.keys.tolist())


def halves(frame: TrainingFrame, plan: Plan) -> Split:
    parts = split(frame, plan)
    assert len(parts.training) + len(parts.holdout) == len(frame)
    return parts


@pytest.mark.parametrize("by", ["group", "stratified"])
def test_an_entity_stays_on_its_side_while_the_table_grows(by: str) -> None:
    plan = Plan.model_validate({"by": by, "holdout": 0.25})
    few, many = (halves(of_entities(count, 4), plan) for count in (200, 400))
    assert not entities(many.training) & entities(many.holdout)
    assert entities(few.holdout) < entities(many.holdout)
    assert len(entities(many.holdout)) / 400 == pytest.approx(0.25, abs=0.07)


@pytest.mark.parametrize("by", ["group", "stratified"])
def test_every_row_is_a_validation_row_of_exactly_one_fold(by: str) -> None:
    rows = of_entities(40, 5)
    parts = list(folds(rows, Plan.model_validate({"by": by, "folds": 4}), seed=3))
    seen = np.concatenate([fold.validate.times for fold in parts])
    assert sorted(seen.tolist()) == sorted(rows.times.tolist())
    for fold in parts:
        assert not set(fold.fit.times.tolist()) & set(fold.validate.times.tolist())
        assert np.all(np.diff(fold.fit.times) > np.timedelta64(0))
        if by == "group":
            assert not entities(fold.fit) & entities(fold.validate)
        else:
            assert fold.validate.y.mean() == pytest.approx(0.5)


def test_a_window_is_as_long_as_the_holdout_and_just_before_it() -> None:
    plan = Plan(by="window", holdout=0.2)
    parts = split(alternating(100), plan)
    (fold,) = folds(parts.training, plan, seed=0)
    assert (len(fold.fit), len(fold.validate)) == (64, 16)
    assert fold.fit.last < fold.validate.first <= fold.validate.last < parts.holdout.first


def test_folds_depend_on_the_seed() -> None:
    plan = Plan(by="stratified", folds=3)

    def drawn(seed: int) -> list[list[int]]:
        return [fold.validate.times.astype(int).tolist() for fold in folds(alternating(60), plan, seed)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_a_single_fold_of_a_group_split_is_refused() -> None:
    with pytest.raises(ValueError, match="split by group needs at least 2 folds"):
        Plan(by="group", folds=1)


@pytest.mark.parametrize("count", [6, 20])
def test_more_folds_than_times_are_refused_with_both_numbers(count: int) -> None:
    rows = alternating(40)
    few = replace(rows, times=rows.times[np.arange(40) // 8])
    with pytest.raises(FrameRefused, match=rf"has no rows: `folds: {count}` cuts rows of 5 distinct times\n.*fewer"):
        list(folds(few, Plan(folds=count), seed=0))


def test_a_fold_with_one_class_is_refused_and_named() -> None:
    rows = alternating(40)
    with pytest.raises(FrameRefused, match=r"each of them and no other; the training part of fold 1 has only \[0\]"):
        list(folds(replace(rows, y=np.where(np.arange(40) < 20, 0, rows.y)), Plan(folds=1), seed=0))
    with pytest.raises(FrameRefused, match=r"fold 1 has only \[1\]"):
        list(folds(replace(rows, y=np.where(np.arange(40) < 20, rows.y, 1)), Plan(folds=1), seed=0))


def test_a_gap_drops_training_rows_before_the_holdout_and_before_each_fold() -> None:
    rows, gap = alternating(100), timedelta(days=5)
    plain, parts = split(rows, Plan(folds=3)), split(rows, Plan(folds=3, gap=5))
    assert parts.holdout.fingerprint() == plain.holdout.fingerprint()
    assert parts.holdout.first - parts.training.last == gap
    assert (len(parts.training), parts.gap_rows, plain.gap_rows) == (len(plain.training) - 4, 4, 0)
    for fold in folds(parts.training, Plan(folds=3, gap=5), seed=0):
        assert fold.validate.first - fold.fit.last == gap
    (window,) = folds(parts.training, Plan(by="window", gap=0.5), seed=0)
    assert window.validate.first - window.fit.last == timedelta(days=1)


def test_a_gap_that_leaves_no_training_rows_is_refused() -> None:
    with pytest.raises(FrameRefused, match=r"the training part has no rows: `gap: 90` drops all 85 .*\n.*shorter"):
        split(alternating(100), Plan(gap=90))
    with pytest.raises(FrameRefused, match=r"the training part of fold 1 has no rows: `gap: 25` drops all 20"):
        list(folds(alternating(100), Plan(gap=25), seed=0))


def test_a_gap_is_refused_where_rows_are_not_split_by_time() -> None:
    with pytest.raises(ValueError, match="split by group is not by time, so it has no gap"):
        Plan(by="group", gap=3)


def test_holdout_rows_of_entities_with_training_rows_are_counted() -> None:
    rows = replace(alternating(100), keys=np.arange(100) % 90)
    assert split(rows, Plan(holdout=0.2)).seen_rows == 10  # keys 0 to 9 at the end
    texts = replace(rows, keys=rows.keys.astype(str).astype(object))
    assert split(texts, Plan(holdout=0.2)).seen_rows == 10
    assert split(of_entities(50, 4), Plan(by="group")).seen_rows == 0


def test_folds_and_holdout_follow_the_fold_column() -> None:
    rows = replace(alternating(60), fold_values=np.repeat(["10", "2", "holdout"], 20))
    plan = Plan(by="column", column="fold")
    parts = halves(rows, plan)
    assert parts.holdout.keys.tolist() == list(range(40, 60))
    found = list(folds(parts.training, plan, seed=0))
    assert [(fold.fit.keys[0], fold.validate.keys[0], len(fold.validate)) for fold in found] == [
        (0, 20, 20),
        (20, 0, 20),
    ]
    assert not any(fold.fit.in_time for fold in found)
