"""The blend of the best trials: chosen and scored out of fold, and a candidate like any other."""

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
from scoring.estimators.blend import one_hot
from scoring.predictions import weighted_average
from scoring.scorer import ResponseFormat, Scorer
from scoring.tasks import BINARY, TASKS
from tests.unit.frames import ENCODER, by_time
from tests.unit.in_memory_reader import use_case
from tests.unit.points import POINTS, rows_of
from training.evaluation.metrics import evaluate
from training.frame import splits
from training.models import FAMILIES
from training.search import record
from training.search.blending import (
    BlendRefused,
    MemberPredictions,
    WeightSelector,
    blend,
    blends_of_folds,
    select_candidates,
)
from training.search.ensemble_candidates import blend_candidate, blend_members
from training.search.fitting import fit
from training.search.memory import RowsTooLarge
from training.search.trial import BASELINE, Attempt, Trial, TrialSpec
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
    return [attempt(TrialSpec(number, candidate(family))) for number, family in enumerate(families, start=1)]


@pytest.mark.parametrize("task", TASKS)
def test_a_blend_predicts_the_weighted_mean_of_its_members_and_reloads(tmp_path: Path, task: str) -> None:
    rows = rows_of(task)
    parts = [(0.75, candidate("knn")), (0.25, candidate("lightgbm"))]
    response_format = ResponseFormat(rows.task.fields, 0.5, rows.task, rows.classes)
    alone = [
        Scorer(fit(one, rows, 0), ENCODER, response_format, matrix_format=FAMILIES[one.family].matrix_format).predict(
            rows.features
        )
        for _, one in parts
    ]
    blended = Scorer(
        fit(blend_candidate(parts), rows, 0), ENCODER, response_format, matrix_format=FAMILIES["blend"].matrix_format
    )
    predicted = blended.predict(rows.features)
    np.testing.assert_allclose(predicted, 0.75 * alone[0] + 0.25 * alone[1], rtol=1e-12)
    np.testing.assert_array_equal(Scorer.load(blended.save(tmp_path)).predict(rows.features), predicted)
    if TASKS[task].predicts_classes:
        pipeline = blended.pipeline
        assert pipeline.classes_.tolist() == list(range(len(rows.classes)))
        probabilities = pipeline.predict_proba(rows.inputs("dense"))
        assert pipeline.predict(rows.inputs("dense")).tolist() == probabilities.argmax(axis=1).tolist()


def test_a_blend_reads_back_from_json_like_any_trial() -> None:
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
def test_dense_rows_become_the_one_hot_matrix_of_training(rows: list[tuple[float, int, int]]) -> None:
    amounts, places, known = np.asarray(rows, dtype=np.float64).T
    columns: FeatureColumns = {
        "amount": amounts,
        "place_index": places,  # 4 and 5 are newer than the vocabulary
        "known": known,
        "known_is_missing": 1 - known,
    }
    matrix, expected = one_hot(ENCODER.dense(columns), ENCODER.categories()), ENCODER.matrix(columns).values
    assert matrix.shape == expected.shape
    assert (matrix.indptr.tolist(), matrix.indices.tolist()) == (expected.indptr.tolist(), expected.indices.tolist())
    assert matrix.data.tolist() == expected.data.tolist()


def noisy_predictions(seed: int, noise: tuple[float, ...]) -> MemberPredictions:
    """Predictions of a fold: the labels, with independent noise for each member."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 2, 400)
    return MemberPredictions(labels, [labels + draw.normal(0, scale, 400) for scale in noise])


SELECTOR = WeightSelector(BINARY, "roc_auc", 0.5)


def test_members_with_independent_errors_are_blended_and_a_noisy_one_is_not() -> None:
    folds = [noisy_predictions(seed, (1.0, 1.0, 50.0)) for seed in range(3)]
    weights = SELECTOR.weights(folds, 3)
    assert weights[2] == 0
    assert min(weights[:2]) > 0.3
    assert SELECTOR.loss(folds, weights) < min(
        SELECTOR.loss(folds, alone) for alone in ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    )
    assert sum(weights) == pytest.approx(1)


def test_a_member_that_is_far_better_gets_all_the_weight() -> None:
    assert SELECTOR.weights([noisy_predictions(seed, (0.01, 9.0)) for seed in range(3)], 2) == (1.0, 0.0)


# Families with different errors on the rows of the task, so that neither alone is best.
DIVERSE: Mapping[str, tuple[str, str]] = {
    "binary": ("random_forest", "xgboost"),
    "multiclass": ("logistic_regression", "knn"),
    "regression": ("elastic_net", "gradient_boosting"),
    "forecast": ("elastic_net", "xgboost"),
}


@pytest.mark.parametrize("task", TASKS)
def test_a_fold_is_scored_with_weights_of_the_other_folds(task: str) -> None:
    attempt, metric = attempt_on(task), "log_loss" if TASKS[task].predicts_classes else "r2"
    families = DIVERSE[task]
    trials = tried(attempt, *families)
    blended = blend(trials, attempt, metric, 2)
    assert blended.number == 3
    assert len(blended.per_fold) == len(attempt.folds)
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
    selector = WeightSelector(TASKS[task], metric, 0.5)
    weights = selector.weights(folds[1:], 2)
    first = evaluate(TASKS[task], folds[0].labels, weighted_average(folds[0].predicted, weights), 0.5)
    assert blended.per_fold[0] == first
    for pipeline, fold, metrics in zip(
        blends_of_folds(trials, attempt, metric, 2), attempt.folds, blended.per_fold, strict=True
    ):
        again = TASKS[task].predict(pipeline, fold.validate.inputs(FAMILIES["blend"].matrix_format))
        assert evaluate(TASKS[task], fold.validate.y, again, 0.5) == metrics
    assert {one.family for _, one in blend_members(blended.candidate)} <= set(families)
    assert [weight for weight, _ in blend_members(blended.candidate)] == [
        w for w in selector.weights(folds, 2) if w > 0
    ]


def test_members_have_equal_weights_on_a_single_fold() -> None:
    attempt = attempt_on("binary", folds=1)
    blended = blend(tried(attempt, "knn", "lightgbm"), attempt, "roc_auc", 5)
    assert [weight for weight, _ in blend_members(blended.candidate)] == [0.5, 0.5]


def test_the_best_distinct_candidates_are_blended_at_most_two_of_a_family() -> None:
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
    selected = select_candidates(trials, "roc_auc", 5)
    assert [(one.family, one.params["n"]) for one in selected] == [("knn", 7), ("knn", 9), ("xgboost", 5)]
    assert len(select_candidates(trials, "roc_auc", 2)) == 2
    with pytest.raises(BlendRefused, match="1 distinct trial succeeded, and a blend takes two"):
        blend(trials[:2], attempt_on("binary"), "roc_auc", 5)


class MemoryLog:
    """A log of trials in memory."""

    run_id = "here"

    def __init__(self) -> None:
        self.trials: list[Trial] = []

    def add(self, trial: Trial) -> None:
        self.trials.append(trial)

    def warning(self) -> None:
        return None


def plan(**search: Any) -> UseCase:
    fields = use_case("gold.people").model_dump()
    small = {
        "families": ["logistic_regression", "knn"],
        "max_evals": 6,
        "metric": "log_loss",
        "space": {"knn": {"n_neighbors": [3, 5]}},
    }
    return UseCase.model_validate(
        {**fields, "split": {"by": "window", "holdout": 0.3}, "search": {**fields["search"], **small, **search}}
    )


def search(case: UseCase, finished: dict[int, Trial] | None = None) -> tuple[MemoryLog, list[Trial]]:
    log = MemoryLog()
    result = run_search(case, rows_of("binary"), cast(TrialLog, log), SETTINGS, finished or {})
    return log, list(result.trials)


def test_a_search_starts_with_the_baseline_and_ends_with_a_blend(logged: dict[str, Any]) -> None:
    log, trials = search(plan())
    assert [trial.number for trial in trials] == [trial.number for trial in log.trials] == list(range(8))
    assert trials[0].candidate == Candidate("dummy", {})
    assert trials[0].metrics["roc_auc"] == 0.5
    assert logged["use_case"] == "shelf"
    assert {trial.candidate.family for trial in trials[1:7]} == {"logistic_regression", "knn"}
    assert trials[7].candidate.family == "blend"
    without = search(plan(blend=0))[1]
    assert [trial.candidate for trial in without] == [trial.candidate for trial in trials[:7]]


@pytest.mark.usefixtures("logged")
def test_a_resumed_search_repeats_neither_the_baseline_nor_the_blend() -> None:
    complete = search(plan())[1]
    after_three = {trial.number: trial for trial in complete[:4]}
    log, resumed = search(plan(), after_three)
    assert [trial.candidate for trial in resumed] == [trial.candidate for trial in complete]
    assert [trial.number for trial in log.trials] == [4, 5, 6, 7]
    log, resumed = search(plan(), {trial.number: trial for trial in complete})
    assert log.trials == []
    assert [trial.metrics for trial in resumed] == [trial.metrics for trial in complete]


def test_a_search_without_enough_memory_is_refused_before_the_first_trial(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("training.search.memory.available_bytes", lambda: 0)
    with pytest.raises(RowsTooLarge, match=r"dense rows \(blend\) take up to"):
        run_search(plan(), rows_of("binary"), cast(TrialLog, None), SETTINGS, {})


def test_a_use_case_cannot_list_the_baseline_or_an_ensemble() -> None:
    for family in ("dummy", "blend", "stack"):
        with pytest.raises(ValueError, match=family):
            plan(families=[family])


@pytest.mark.parametrize(("most", "of_a_family"), [(5, 2), (8, 2), (12, 4), (20, 6)])
def test_a_blend_takes_two_of_a_family_or_a_third_of_its_members(most: int, of_a_family: int) -> None:
    def trial(number: int, family: str) -> Trial:
        one = Candidate.of(family, {"number": number})
        return Trial(number, one, {"roc_auc": 1 - number / 100}, ({"roc_auc": 0.5},), timedelta(0))

    trials = [trial(number, "lightgbm") for number in range(1, 9)] + [trial(9, "knn")]
    families = [one.family for one in select_candidates(trials, "roc_auc", most)]
    assert families == ["lightgbm"] * of_a_family + ["knn"]
