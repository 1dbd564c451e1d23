"""A blend of the best: chosen and measured out of the fold, and one candidate like any other."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.settings import Settings
from scoring.encodings import FeatureColumns
from scoring.estimators.blend import one_hot, weighted_average
from scoring.scorer import ResponseFormat, Scorer
from scoring.tasks import BINARY, TASKS
from tests.unit.frames import ENCODER, by_time
from tests.unit.points import POINTS, rows_of
from tests.unit.shelf import use_case
from training.evaluation.metrics import evaluate
from training.frame import splits
from training.models import FAMILIES
from training.search import record
from training.search.blend_candidate import blend_candidate, blend_members
from training.search.blending import MemberPredictions, WeightSelector, blend, blends_of_folds, select_candidates
from training.search.fitting import fit
from training.search.memory import RowsTooLarge
from training.search.trial import BASELINE, Attempt, Trial
from training.search.trial import TrialSpec as Asked
from training.space.joint_space import Candidate
from training.stages.search import run_search
from training.tracking.trials import TrialLog
from training.use_case.use_case import UseCase

SETTINGS = Settings.from_environment({})
PARAMS = dict(POINTS)


def candidate(family: str) -> Candidate:
    return Candidate.of(family, PARAMS[family])


def attempt_on(task: str, folds: int = 2) -> Attempt:
    return Attempt(list(splits.folds(rows_of(task), by_time(folds=folds), 0)), 0, 0.5)


def tried(attempt: Attempt, *families: str) -> list[Trial]:
    return [attempt(Asked(number, candidate(family))) for number, family in enumerate(families, start=1)]


@pytest.mark.parametrize("task", TASKS)
def test_a_blend_predicts_the_mean_of_its_members_and_survives_being_written(tmp_path: Path, task: str) -> None:
    rows = rows_of(task)
    parts = [(0.75, candidate("knn")), (0.25, candidate("lightgbm"))]
    answering = ResponseFormat(rows.task.fields, 0.5, rows.task, rows.classes)
    alone = [
        Scorer(fit(one, rows, 0), ENCODER, answering, matrix_format=FAMILIES[one.family].matrix_format).predict(
            rows.features
        )
        for _, one in parts
    ]
    together = Scorer(
        fit(blend_candidate(parts), rows, 0), ENCODER, answering, matrix_format=FAMILIES["blend"].matrix_format
    )
    said = together.predict(rows.features)
    np.testing.assert_allclose(said, 0.75 * alone[0] + 0.25 * alone[1], rtol=1e-12)
    np.testing.assert_array_equal(Scorer.load(together.save(tmp_path)).predict(rows.features), said)
    if task != "regression":
        pipeline = together.pipeline
        assert pipeline.classes_.tolist() == list(range(len(rows.classes)))
        probabilities = pipeline.predict_proba(rows.inputs("dense"))
        assert pipeline.predict(rows.inputs("dense")).tolist() == probabilities.argmax(axis=1).tolist()


def test_a_blend_is_a_record_like_any_trial() -> None:
    one = blend_candidate([(0.25, candidate("catboost")), (0.75, candidate("logistic_regression"))])
    trial = Trial(7, one, {"roc_auc": 0.7}, ({"roc_auc": 0.7},), timedelta(seconds=1))
    assert record.from_json(record.to_json(trial)) == trial
    assert list(blend_members(one)) == [(0.25, candidate("catboost")), (0.75, candidate("logistic_regression"))]
    assert json.loads(json.dumps(dict(one.params))) == one.params
    assert list(blend_members(candidate("knn"))) == []


@given(
    st.lists(
        st.tuples(st.floats(-1e9, 1e9) | st.just(0.0), st.integers(0, 5), st.integers(0, 1)), min_size=1, max_size=9
    )
)
def test_dense_rows_become_the_blocks_that_training_had(rows: list[tuple[float, int, int]]) -> None:
    amounts, places, known = np.asarray(rows, dtype=np.float64).T
    columns: FeatureColumns = {
        "amount": amounts,
        "place_index": places,  # 4 and 5 are newer than the vocabulary
        "known": known,
        "known_is_missing": 1 - known,
    }
    made, expected = one_hot(ENCODER.dense(columns), ENCODER.categories()), ENCODER.matrix(columns).values
    assert made.shape == expected.shape
    assert (made.indptr.tolist(), made.indices.tolist()) == (expected.indptr.tolist(), expected.indices.tolist())
    assert made.data.tolist() == expected.data.tolist()


def judged(seed: int, noise: tuple[float, ...]) -> MemberPredictions:
    """A fold of which each member knows the labels up to noise of its own."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 2, 400)
    return MemberPredictions(labels, [labels + draw.normal(0, scale, 400) for scale in noise])


JUDGE = WeightSelector(BINARY, "roc_auc", 0.5)


def test_members_that_err_apart_are_blended_and_one_that_knows_nothing_is_not() -> None:
    folds = [judged(seed, (1.0, 1.0, 50.0)) for seed in range(3)]
    weights = JUDGE.weights(folds, 3)
    assert weights[2] == 0
    assert min(weights[:2]) > 0.3
    assert JUDGE.loss(folds, weights) < min(JUDGE.loss(folds, alone) for alone in ((1, 0, 0), (0, 1, 0), (0, 0, 1)))
    assert sum(weights) == pytest.approx(1)


def test_one_that_is_best_by_far_stands_alone() -> None:
    assert JUDGE.weights([judged(seed, (0.01, 9.0)) for seed in range(3)], 2) == (1.0, 0.0)


# Families that err apart on the rows of the task, so that neither alone is best.
APART: Mapping[str, tuple[str, str]] = {
    "binary": ("random_forest", "xgboost"),
    "multiclass": ("logistic_regression", "knn"),
    "regression": ("elastic_net", "gradient_boosting"),
}


@pytest.mark.parametrize("task", TASKS)
def test_a_fold_is_measured_by_weights_of_the_other_folds(task: str) -> None:
    attempt, metric = attempt_on(task), "r2" if task == "regression" else "log_loss"
    families = APART[task]
    trials = tried(attempt, *families)
    made = blend(trials, attempt, metric, 2)
    assert made is not None
    assert made.number == 3
    assert len(made.per_fold) == len(attempt.folds)
    order = select_candidates(trials, metric, 2)
    folds = [
        MemberPredictions(
            fold.validate.y,
            [
                Scorer(
                    fit(one, fold.fit, 0),
                    ENCODER,
                    ResponseFormat((), 0.5, TASKS[task]),
                    matrix_format=FAMILIES[one.family].matrix_format,
                ).predict(fold.validate.features)
                for one in order
            ],
        )
        for fold in attempt.folds
    ]
    judge = WeightSelector(TASKS[task], metric, 0.5)
    apart = judge.weights(folds[1:], 2)
    first = evaluate(TASKS[task], folds[0].labels, weighted_average(folds[0].predicted, apart), 0.5)
    assert made.per_fold[0] == first
    for pipeline, fold, said in zip(
        blends_of_folds(trials, attempt, metric, 2), attempt.folds, made.per_fold, strict=True
    ):
        again = TASKS[task].predict(pipeline, fold.validate.inputs(FAMILIES["blend"].matrix_format))
        assert evaluate(TASKS[task], fold.validate.y, again, 0.5) == said
    assert {one.family for _, one in blend_members(made.candidate)} <= set(families)
    assert [weight for weight, _ in blend_members(made.candidate)] == [w for w in judge.weights(folds, 2) if w > 0]


def test_on_one_fold_alone_members_weigh_the_same() -> None:
    attempt = attempt_on("binary", folds=1)
    made = blend(tried(attempt, "knn", "lightgbm"), attempt, "roc_auc", 5)
    assert made is not None
    assert [weight for weight, _ in blend_members(made.candidate)] == [0.5, 0.5]


def test_the_best_that_differ_are_blended_two_of_a_family() -> None:
    def trial(number: int, family: str, value: float, neighbours: int = 5) -> Trial:
        metrics = {"roc_auc": value}
        return Trial(number, Candidate(family, {"n": neighbours}), metrics, (metrics,), timedelta(0))

    trials = [
        trial(BASELINE, "dummy", 0.99),
        trial(1, "knn", 0.7),
        trial(2, "knn", 0.9, 7),
        trial(3, "knn", 0.9, 7),
        trial(4, "knn", 0.8, 9),
        trial(5, "xgboost", 0.6),
        replace(trial(6, "catboost", 0.95), error="ValueError: no"),
        trial(7, "lightgbm", float("nan")),
    ]
    found = select_candidates(trials, "roc_auc", 5)
    assert [(one.family, one.params["n"]) for one in found] == [("knn", 7), ("knn", 9), ("xgboost", 5)]
    assert len(select_candidates(trials, "roc_auc", 2)) == 2
    assert blend(trials[:2], attempt_on("binary"), "roc_auc", 5) is None


class Kept:
    """A log of trials in memory."""

    run_id = "here"

    def __init__(self) -> None:
        self.trials: list[Trial] = []

    def add(self, trial: Trial) -> None:
        self.trials.append(trial)

    def warning(self) -> None:
        return None


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a search tells its run."""
    params: dict[str, Any] = {}
    monkeypatch.setattr("training.stages.search.mlflow.log_params", params.update)
    return params


def plan(**search: Any) -> UseCase:
    said = use_case("gold.people").model_dump()
    small = {
        "families": ["logistic_regression", "knn"],
        "max_evals": 6,
        "metric": "log_loss",
        "space": {"knn": {"n_neighbors": [3, 5]}},
    }
    return UseCase.model_validate(
        {**said, "split": {"by": "window", "holdout": 0.3}, "search": {**said["search"], **small, **search}}
    )


def search(case: UseCase, finished: dict[int, Trial] | None = None) -> tuple[Kept, list[Trial]]:
    kept = Kept()
    found = run_search(case, rows_of("binary"), cast(TrialLog, kept), SETTINGS, finished or {})
    return kept, list(found.trials)


def test_a_search_begins_by_guessing_and_ends_with_a_blend(logged: dict[str, Any]) -> None:
    kept, trials = search(plan())
    assert [trial.number for trial in trials] == [trial.number for trial in kept.trials] == list(range(8))
    assert trials[0].candidate == Candidate("dummy", {})
    assert trials[0].metrics["roc_auc"] == 0.5
    assert logged["use_case"] == "shelf"
    assert {trial.candidate.family for trial in trials[1:7]} == {"logistic_regression", "knn"}
    assert trials[7].candidate.family == "blend"
    without = search(plan(blend=0))[1]
    assert [trial.candidate for trial in without] == [trial.candidate for trial in trials[:7]]


@pytest.mark.usefixtures("logged")
def test_a_resumed_search_tries_neither_the_guess_nor_the_blend_twice() -> None:
    whole = search(plan())[1]
    after_three = {trial.number: trial for trial in whole[:4]}
    kept, resumed = search(plan(), after_three)
    assert [trial.candidate for trial in resumed] == [trial.candidate for trial in whole]
    assert [trial.number for trial in kept.trials] == [4, 5, 6, 7]
    kept, resumed = search(plan(), {trial.number: trial for trial in whole})
    assert kept.trials == []
    assert [trial.metrics for trial in resumed] == [trial.metrics for trial in whole]


def test_a_search_without_room_for_its_rows_is_refused_before_the_first_trial(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("training.search.memory.available_bytes", lambda: 0)
    with pytest.raises(RowsTooLarge, match=r"dense rows \(blend\) take up to"):
        run_search(plan(), rows_of("binary"), cast(TrialLog, None), SETTINGS, {})


def test_a_use_case_cannot_search_what_is_tried_of_itself() -> None:
    for family in ("dummy", "blend"):
        with pytest.raises(ValueError, match=family):
            plan(families=[family])
