"""Stacks: boosters on the predictions of other families, learned and scored out of fold."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from scoring.estimators.early_stopping import VALIDATION_SHARE
from scoring.scorer import ResponseFormat, Scorer
from scoring.tasks import TASKS
from tests.unit.frames import ENCODER
from tests.unit.points import POINTS, rows_of
from tests.unit.search.test_blending import SETTINGS, MemoryLog, plan
from training.evaluation.metrics import evaluate
from training.frame.drawing import draw_rows
from training.frame.frame import TrainingFrame
from training.frame.splits import Split, folds
from training.models import FAMILIES
from training.models.family import DataFacts
from training.registry.compilation import compile_scorer
from training.search import fitting, record
from training.search.blending import blend, blends_of_folds, keep_predictions
from training.search.ensemble_candidates import blend_candidate, blend_members, stack_candidate, stack_layers
from training.search.fitting import fit
from training.search.result import SearchResult, fit_seconds
from training.search.stacking import Stacked, StackRefused, stack, with_out_of_fold
from training.search.trial import Attempt, Trial, TrialSpec
from training.space.joint_space import Candidate
from training.stages.refit import refit
from training.stages.search import run_search, with_predictions_of_bases
from training.tracking.trials import TrialLog
from training.use_case.split import SplitPlan
from training.use_case.use_case import UseCase

PARAMS = dict(POINTS)
SPLIT = SplitPlan(by="group", folds=3)
STACKABLE = [name for name, task in TASKS.items() if not task.declares_forecast]
METRIC = {"binary": "log_loss", "multiclass": "log_loss", "regression": "rmse"}


def candidate(family: str, **more: Any) -> Candidate:
    return Candidate.of(family, {**PARAMS[family], **more})


def rows_without_time(task: str) -> TrainingFrame:
    return replace(rows_of(task), in_time=False)


def attempt_on(rows: TrainingFrame) -> Attempt:
    return Attempt(list(folds(rows, SPLIT, 0)), 0, 0.5)


def tried(attempt: Attempt, *candidates: Candidate) -> list[Trial]:
    return [attempt(TrialSpec(number, each)) for number, each in enumerate(candidates, start=1)]


def stacked(task: str, *families: str, most: int = 1) -> tuple[list[Trial], Stacked]:
    """The trials of some families, and the stacks on them."""
    rows = rows_without_time(task)
    trials = tried(attempt_on(rows), *(candidate(each) for each in families))
    return trials, stack(trials, rows, SPLIT, attempt_on(rows), METRIC[task], most)


@pytest.mark.parametrize("task", STACKABLE)
def test_the_final_estimator_learns_from_predictions_of_models_not_fitted_on_the_row(task: str) -> None:
    rows, (trials, found) = rows_without_time(task), stacked(task, "knn", "lightgbm")
    (trial,) = found.stacks
    assert trial.number == 3
    below, final_estimator = stack_layers(trial.candidate) or ([], None)
    assert final_estimator == candidate("lightgbm")
    assert sorted(base.family for base in below) == ["knn", "lightgbm"]
    columns = []
    for base in below:
        ordered = np.empty((len(rows), len(rows.classes)) if task == "multiclass" else len(rows))
        for training, validation in SPLIT.kind.folds(rows, SPLIT, 0):
            model = fit(base, rows.rows(training), 0)
            ordered[validation] = rows.rows(validation).predict(model, FAMILIES[base.family].matrix_format)
        columns += list(ordered.reshape(len(rows), -1).T)
    features = np.column_stack([rows.inputs("dense"), *columns])
    for number, (training, validation) in enumerate(SPLIT.kind.folds(rows, SPLIT, 0)):
        frame = rows.rows(training)
        facts = DataFacts(rows.task, len(rows.classes), ENCODER.categories(), rows=len(frame))
        booster = FAMILIES["lightgbm"].build(PARAMS["lightgbm"], 0, facts)
        marked = draw_rows(frame, VALIDATION_SHARE, 0)
        booster.fit(features[training], frame.y, model__validation=marked)
        predicted = rows.task.predict(booster, features[validation])
        assert trial.per_fold[number] == evaluate(rows.task, rows.y[validation], predicted, 0.5)
    assert len(trials) == 2


@pytest.mark.parametrize("task", STACKABLE)
def test_a_stack_fitted_on_a_fold_predicts_what_its_trial_measured(task: str) -> None:
    _, found = stacked(task, "knn", "xgboost")
    (trial,) = found.stacks
    rows = with_out_of_fold(rows_without_time(task), SPLIT, 0, found.bases)
    for fold, metrics in zip(folds(rows, SPLIT, 0), trial.per_fold, strict=True):
        pipeline = fit(trial.candidate, fold.fit, 0)
        predicted = fold.validate.predict(pipeline, FAMILIES["stack"].matrix_format)
        assert evaluate(rows.task, fold.validate.y, predicted, 0.5) == metrics


@pytest.mark.parametrize("task", STACKABLE)
def test_a_stack_predicts_from_bases_fitted_on_all_rows_and_reloads(tmp_path: Path, task: str) -> None:
    linear = "ridge" if task == "regression" else "logistic_regression"
    _, found = stacked(task, linear, "catboost")
    rows = with_out_of_fold(rows_without_time(task), SPLIT, 0, found.bases)
    response_format = ResponseFormat(rows.task.fields, 0.5, rows.task, rows.classes)
    pipeline = fit(found.stacks[0].candidate, rows, 0)
    scorer = Scorer(pipeline, ENCODER, response_format, matrix_format="dense")
    predicted = scorer.predict(rows.features)
    below, _ = stack_layers(found.stacks[0].candidate) or ([], None)
    columns = [rows.predict(fit(base, rows, 0), FAMILIES[base.family].matrix_format) for base in below]
    above = np.column_stack([rows.inputs("dense"), *columns])
    np.testing.assert_array_equal(rows.task.predict(pipeline["model"].final_estimator, above), predicted)
    np.testing.assert_array_equal(Scorer.load(scorer.save(tmp_path)).predict(rows.features), predicted)
    if rows.task.predicts_classes:
        assert pipeline.classes_.tolist() == list(range(len(rows.classes)))
        probabilities = pipeline.predict_proba(rows.inputs("dense"))
        assert pipeline.predict(rows.inputs("dense")).tolist() == probabilities.argmax(axis=1).tolist()


def test_each_stack_has_another_booster_the_best_first() -> None:
    trials, found = stacked("binary", "xgboost", "logistic_regression", "lightgbm", "gradient_boosting", most=2)
    boosters = [trial for trial in trials if FAMILIES[trial.candidate.family].ends_stacks]
    best_first = sorted(boosters, key=lambda trial: trial.metrics["log_loss"])
    ends = [layers[1] for trial in found.stacks if (layers := stack_layers(trial.candidate))]
    assert ends == [trial.candidate for trial in best_first[:2]]
    assert [trial.number for trial in found.stacks] == [5, 6]


def test_the_bases_are_the_best_trial_of_each_family_and_one_booster() -> None:
    trials, found = stacked("binary", "xgboost", "logistic_regression", "lightgbm", "gradient_boosting", "knn")
    best_first = sorted(trials, key=lambda trial: trial.metrics["log_loss"])
    boosters = [trial for trial in best_first if FAMILIES[trial.candidate.family].ends_stacks]
    below, _ = stack_layers(found.stacks[0].candidate) or ([], None)
    assert below == [trial.candidate for trial in best_first if trial not in boosters[1:]]


def test_the_base_of_a_family_is_its_best_trial() -> None:
    rows = rows_without_time("binary")
    trials = tried(
        attempt_on(rows), candidate("knn", n_neighbors=3), candidate("knn", n_neighbors=9), candidate("lightgbm")
    )
    found = stack(trials, rows, SPLIT, attempt_on(rows), "log_loss", 1)
    best = min(trials[:2], key=lambda trial: trial.metrics["log_loss"])
    below, _ = stack_layers(found.stacks[0].candidate) or ([], None)
    assert [base for base in below if base.family == "knn"] == [best.candidate]


def test_a_trial_that_kept_no_predictions_is_fitted_on_the_folds_again() -> None:
    trials, found = stacked("binary", "knn", "lightgbm")
    rows = rows_without_time("binary")
    forgotten = [replace(trial, predictions=None) for trial in trials]
    again = stack(forgotten, rows, SPLIT, attempt_on(rows), "log_loss", 1)
    assert [trial.metrics for trial in again.stacks] == [trial.metrics for trial in found.stacks]
    assert all(trial.predictions is not None for trial in again.bases)


@pytest.mark.parametrize(
    ("families", "problem"),
    [
        (["knn", "logistic_regression"], "no trial of a booster succeeded"),
        (["lightgbm"], "only lightgbm succeeded, and a stack takes two families"),
    ],
)
def test_a_stack_needs_a_booster_and_another_family(families: list[str], problem: str) -> None:
    with pytest.raises(StackRefused, match=problem):
        stacked("binary", *families)


def test_no_stack_is_fitted_that_does_not_fit_into_the_time_left() -> None:
    rows = rows_without_time("binary")
    trials = [
        replace(trial, duration=timedelta(seconds=10))
        for trial in tried(attempt_on(rows), candidate("knn"), candidate("lightgbm"), candidate("xgboost"))
    ]
    assert attempt_on(rows).refits == 0.5
    with pytest.raises(
        StackRefused, match=r"the first one takes 15\.0 s or more with its refit, and 14\.0 s are left"
    ):
        stack(trials, rows, SPLIT, attempt_on(rows), "log_loss", 2, seconds=14.0)
    assert len(stack(trials, rows, SPLIT, attempt_on(rows), "log_loss", 2, seconds=19.0).stacks) == 1
    assert len(stack(trials, rows, SPLIT, attempt_on(rows), "log_loss", 2, seconds=23.0).stacks) == 2


def test_bases_that_must_be_fitted_again_count_in_the_time_left() -> None:
    rows = rows_without_time("binary")
    trials = tried(attempt_on(rows), candidate("knn"), candidate("lightgbm"))
    slow = [replace(trial, duration=timedelta(seconds=9), predictions=None) for trial in trials]
    with pytest.raises(StackRefused, match=r"fitting bases on the folds again takes 18\.0 s, and 17\.0 s are left"):
        stack(slow, rows, SPLIT, attempt_on(rows), "log_loss", 1, seconds=17.0)


def test_a_search_keeps_the_predictions_of_bases_that_no_blend_would_take() -> None:
    rows = rows_without_time("binary")
    trials = tried(attempt_on(rows), candidate("knn"), candidate("lightgbm"), candidate("xgboost"))
    numbered = {trial.number: trial for trial in trials}

    def kept(stacks: int) -> set[int]:
        found = keep_predictions(numbered, "log_loss", 0, stacks)
        return {number for number, trial in found.items() if trial.predictions is not None}

    best = min(trials, key=lambda trial: trial.metrics["log_loss"])
    booster = min(trials[1:], key=lambda trial: trial.metrics["log_loss"])
    assert kept(0) == {best.number}
    assert kept(1) == {1, booster.number}


def test_a_frame_without_the_predictions_of_a_base_is_refused() -> None:
    one = stack_candidate([candidate("knn")], candidate("lightgbm"))
    with pytest.raises(ValueError, match="learns from out-of-fold predictions, and the frame has none of knn"):
        fit(one, rows_without_time("binary"), 0)


def test_a_stack_reads_back_from_json_also_inside_of_a_blend() -> None:
    one = stack_candidate([candidate("catboost"), candidate("knn")], candidate("lightgbm"))
    blended = blend_candidate([(0.25, one), (0.75, candidate("knn"))], 5)
    for each in (one, blended):
        trial = Trial(7, each, {"roc_auc": 0.7}, ({"roc_auc": 0.7},), timedelta(seconds=1))
        assert record.from_json(record.to_json(trial)) == trial
    assert list(blend_members(blended)) == [(0.25, one), (0.75, candidate("knn"))]
    assert stack_layers(one) == ([candidate("catboost"), candidate("knn")], candidate("lightgbm"))
    assert stack_layers(blended) is None


def test_a_base_that_is_also_a_member_is_fitted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    trials, found = stacked("binary", "knn", "lightgbm", "xgboost", most=2)
    rows = with_out_of_fold(rows_without_time("binary"), SPLIT, 0, found.bases)
    parts = [*found.stacks, *trials]
    blended = blend_candidate([(1 / len(parts), trial.candidate) for trial in parts])
    fitted = list[tuple[str, int]]()
    whole = fitting._fit

    def counting(family: Any, params: Any, seed: int, frame: TrainingFrame, *rest: Any) -> Any:
        fitted.append((family.name, len(frame.encoder.features)))
        return whole(family, params, seed, frame, *rest)

    monkeypatch.setattr(fitting, "_fit", counting)
    fit(blended, rows, 0)
    features = len(ENCODER.features)
    alone = [("knn", features), ("lightgbm", features), ("xgboost", features)]
    assert sorted(fitted) == sorted([*alone, ("lightgbm", features + 2), ("xgboost", features + 2)])
    timed = [replace(trial, duration=timedelta(seconds=trial.number)) for trial in parts]
    assert fit_seconds([blended], timed) == sum(trial.number for trial in parts)


def test_a_blend_may_have_stacks_and_its_folds_are_fitted_as_they_were_measured() -> None:
    trials, found = stacked("multiclass", "knn", "logistic_regression", "lightgbm")
    rows = with_out_of_fold(rows_without_time("multiclass"), SPLIT, 0, found.bases)
    attempt = attempt_on(rows)
    parts = [*trials, *found.stacks]
    blended = blend(parts, attempt, "log_loss", 12)
    pipelines = blends_of_folds(parts, attempt, "log_loss", 12)
    for fold, pipeline, metrics in zip(attempt.folds, pipelines, blended.per_fold, strict=True):
        predicted = fold.validate.predict(pipeline, "dense")
        assert evaluate(rows.task, fold.validate.y, predicted, 0.5) == pytest.approx(metrics, rel=1e-12)
    forced = blend_candidate([(0.5, found.stacks[0].candidate), (0.5, candidate("knn"))])
    response_format = ResponseFormat(rows.task.fields, 0.5, rows.task, rows.classes)
    scorer = Scorer(fit(forced, rows, 0), ENCODER, response_format, matrix_format="dense")
    assert compile_scorer(scorer, rows.features).difference == 0


STACKING = {
    "families": ["logistic_regression", "knn", "lightgbm"],
    "max_evals": 9,
    "stacks": 2,
    "space": {"knn": {"n_neighbors": [3, 5]}},
}


def searched(finished: dict[int, Trial] | None = None, **more: Any) -> tuple[MemoryLog, SearchResult, Any]:
    case = plan()
    fields = {**case.model_dump(), "split": {"by": "group", "folds": 3}}
    case = UseCase.model_validate({**fields, "search": {**fields["search"], **STACKING, **more}})
    log = MemoryLog()
    return log, run_search(case, rows_without_time("binary"), cast(TrialLog, log), SETTINGS, finished or {}), case


@pytest.mark.usefixtures("logged")
def test_a_search_tries_stacks_after_its_trials_and_refits_one(capsys: pytest.CaptureFixture[str]) -> None:
    log, result, case = searched()
    assert [trial.number for trial in log.trials] == list(range(len(result.trials)))
    assert [trial.candidate.family for trial in result.trials[10:]] == ["stack"]
    assert "trial 10, stack of lightgbm on " in capsys.readouterr().out
    assert result.count == "9 trials and 1 stack"
    data = with_predictions_of_bases(Split(rows_without_time("binary"), rows_without_time("binary")), case, result)
    one = refit(case, result.trials[10], data.training, result.trials)
    compiled = compile_scorer(one.scorer, data.training.features)
    assert compiled.difference == 0
    assert compiled.tags()["compiled"].startswith("stack of onnx on ")
    bag = UseCase.model_validate({**case.model_dump(), "search": {**case.search.model_dump(), "final": "bag"}})
    bagged = refit(bag, result.trials[10], data.training, result.trials)
    assert len(bagged.scorer.pipeline["model"].members) == 3


@pytest.mark.usefixtures("logged")
def test_a_resumed_search_makes_the_same_stacks_and_logs_them_once() -> None:
    _, complete, _ = searched()
    log, resumed, _ = searched({trial.number: replace(trial, predictions=None) for trial in complete.trials})
    assert log.trials == []
    assert [trial.metrics for trial in resumed.trials] == [trial.metrics for trial in complete.trials]


@pytest.mark.usefixtures("logged")
def test_a_search_without_boosters_says_why_it_has_no_stack(capsys: pytest.CaptureFixture[str]) -> None:
    _, result, _ = searched(families=["logistic_regression", "knn"])
    assert "no stack: no trial of a booster succeeded" in capsys.readouterr().out
    assert result.count == "9 trials"


def test_stacks_and_a_split_by_time_are_refused() -> None:
    with pytest.raises(ValueError, match="with split by window no fold predicts the first rows: remove `stacks`"):
        plan(stacks=1)
