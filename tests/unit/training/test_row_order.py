"""Rows without an order of time: no model learns from the order of their keys."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from scoring.tasks import MULTICLASS
from tests.unit.frames import alternating, frame
from tests.unit.points import POINTS, rows_of
from training.frame.drawing import draw_rows, sample
from training.frame.frame import TrainingFrame
from training.frame.splits import folds, split
from training.search.fitting import fit
from training.search.trial import Attempt, TrialSpec
from training.space.joint_space import Candidate
from training.use_case.split import SplitPlan

PLAN = SplitPlan(by="stratified", folds=3)
BOOSTERS = ("lightgbm", "xgboost", "catboost")


def booster(family: str) -> Candidate:
    return Candidate.of(family, dict(POINTS)[family])


def of_one_time(rows: int = 1500) -> TrainingFrame:
    """Rows of one time, of which a fifth is labelled 1."""
    return frame([0] * rows, (np.random.default_rng(1).random(rows) < 0.2).astype(int).tolist())


def sorted_by_label(rows: TrainingFrame) -> TrainingFrame:
    return rows.rows(np.argsort(rows.y, kind="stable"))


def of_entities(sizes: list[int], labels: list[int]) -> TrainingFrame:
    """Rows of entities of these sizes; all rows of an entity have its label."""
    rows = frame([0] * sum(sizes), np.repeat(labels, sizes).tolist())
    return replace(rows, keys=np.repeat([f"entity {index}" for index in range(len(sizes))], sizes).astype(object))


@pytest.mark.parametrize("family", BOOSTERS)
def test_a_booster_learns_the_same_from_rows_sorted_by_label(family: str) -> None:
    losses, rounds = [], []
    for rows in (of_one_time(), sorted_by_label(of_one_time())):
        parts = list(folds(rows, PLAN, seed=0))
        losses.append(Attempt(parts, 0, 0.5)(TrialSpec(1, booster(family))).metrics["log_loss"])
        rounds.append(
            float(np.mean([fit(booster(family), fold.fit, 0).named_steps["model"].rounds_ for fold in parts]))
        )
    assert losses[0] == pytest.approx(losses[1], abs=0.03)
    assert min(rounds) > 5
    assert max(losses) < 0.45  # 0.50 without features


def test_the_refit_of_a_split_by_label_draws_its_validation_rows_too() -> None:
    rows = sorted_by_label(of_one_time())
    training = split(rows, PLAN).training
    model = fit(booster("catboost"), training, 0).named_steps["model"]
    assert model.rounds_ > 5
    in_order = fit(booster("catboost"), replace(training, in_time=True), 0).named_steps["model"]
    assert in_order.rounds_ == 1


def test_a_split_by_time_validates_on_the_newest_rows() -> None:
    rows = alternating(200)
    assert all(fold.fit.in_time for fold in folds(rows, SplitPlan(), seed=0))
    model, again = (fit(booster("lightgbm"), rows, seed).named_steps["model"] for seed in (0, 0))
    newest = np.arange(200) >= int(200 * 0.85)
    explicit = type(model)(model.task, model.rounds, model.options, model.categorical, model.seed).fit(
        rows.inputs("dense"), rows.y, np.ones(200), newest
    )
    assert model.rounds_ == again.rounds_ == explicit.rounds_
    assert np.array_equal(model.predict_proba(rows.inputs("dense")), explicit.predict_proba(rows.inputs("dense")))


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_each_class_has_its_share_of_the_drawn_rows(task: str) -> None:
    rows = sorted_by_label(rows_of(task, 600))
    drawn = draw_rows(rows, 0.15, seed=3)
    for label in np.unique(rows.y):
        assert drawn[rows.y == label].mean() == pytest.approx(0.15, abs=0.01)
    assert not np.array_equal(drawn, draw_rows(rows, 0.15, seed=4))
    assert np.array_equal(drawn, draw_rows(rows, 0.15, seed=3))


def test_numbers_are_drawn_from_all_of_their_range() -> None:
    rows = sorted_by_label(rows_of("regression", 600))
    drawn = draw_rows(rows, 0.15, seed=0)
    assert drawn.mean() == pytest.approx(0.15, abs=0.01)
    assert all(part.any() for part in np.split(drawn, 6))


def test_all_rows_of_an_entity_are_drawn_or_none() -> None:
    sizes = np.random.default_rng(0).integers(1, 9, 200).tolist()
    rows = of_entities(sizes, [int(index < 20) for index in range(200)])
    drawn = draw_rows(rows, 0.15, seed=0)
    assert not set(rows.keys[drawn]) & set(rows.keys[~drawn])
    assert drawn.mean() == pytest.approx(0.15, abs=0.02)
    assert drawn[rows.y == 1].any()
    assert not drawn[rows.y == 1].all()


@pytest.mark.parametrize(("sizes", "expected"), [([40], 6), ([20, 20], 20), ([3, 30], 3)])
def test_of_few_entities_some_rows_are_drawn_and_some_are_not(sizes: list[int], expected: int) -> None:
    rows = replace(of_entities(sizes, [0] * len(sizes)), task=rows_of("regression").task)
    counts = {int(draw_rows(rows, 0.15, seed=seed).sum()) for seed in range(5)}
    assert expected in counts
    assert all(0 < count < len(rows) for count in counts)


def test_a_class_of_one_row_stays_with_the_rows_to_fit() -> None:
    rows = replace(rows_of("multiclass"), task=MULTICLASS, y=np.asarray([2] + [0, 1] * 59 + [0]))
    assert not any(draw_rows(rows, 0.15, seed)[0] for seed in range(20))


def test_another_process_draws_the_same_rows() -> None:
    rows = of_entities([3] * 80, [index % 2 for index in range(80)])
    attempt = Attempt(list(folds(rows, SplitPlan(by="group", folds=2), 0)), 0, 0.5)
    sent = pickle.loads(pickle.dumps(attempt))  # noqa: S301  (of this test)
    assert sent.folds[0].fit.keys.dtype == np.intp
    here, there = (each(TrialSpec(1, booster("catboost"))) for each in (attempt, sent))
    assert here.per_fold == there.per_fold
    in_time = Attempt(list(folds(alternating(40), SplitPlan(folds=1), 0)), 0, 0.5)
    assert not pickle.loads(pickle.dumps(in_time)).folds[0].fit.keys.any()  # noqa: S301


def test_a_sample_has_every_class() -> None:
    rows = replace(alternating(1000), y=(np.arange(1000) == 7).astype(np.int64))
    drawn = sample(rows, 50, seed=0)
    assert drawn.sum() == 51
    assert drawn[7]
    assert sample(rows, 1000, seed=0).all()
