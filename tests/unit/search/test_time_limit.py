"""A search with a time limit: time is reserved for what follows it, and a first model is always there."""

from dataclasses import replace
from datetime import timedelta
from time import monotonic
from typing import Any, cast

import numpy as np
import pytest

from lakehouse.settings import Settings
from scoring.estimators.catboost import CatBoost
from scoring.estimators.early_stopping import FitOutOfTime
from tests.unit.points import POINTS, rows_of
from tests.unit.search.test_blending import MemoryLog, plan
from training.budget import Budget
from training.frame.drawing import sample
from training.frame.splits import folds
from training.search.blending import blend
from training.search.ensemble_candidates import CANDIDATES, blend_members
from training.search.executors.in_process import InProcess
from training.search.fitting import SAMPLE_ROWS, fit
from training.search.loop import REPORT_SECONDS
from training.search.result import SearchFailed, SearchResult
from training.search.trial import Attempt, Trial, TrialSpec
from training.space.joint_space import Candidate
from training.stages.search import run_search
from training.tracking.trials import TrialLog

SETTINGS = Settings.from_environment({})


class Clock:
    """A clock that stands still unless a trial is scored."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, logged: dict[str, Any]) -> Clock:
    found = Clock()
    for module in ("budget", "search.loop", "search.trial", "search.blending"):
        monkeypatch.setattr(f"training.{module}.monotonic", found)
    return found


def trials_take(monkeypatch: pytest.MonkeyPatch, clock: Clock, seconds: float, error: str | None = None) -> None:
    """Every searched trial takes so long; the baseline and the first model take no time."""
    original = Attempt._score_folds

    def scored(attempt: Attempt, spec: TrialSpec, *results: Any) -> Any:
        if spec.number == 0:
            return original(attempt, spec, *results)
        clock.now += seconds
        return (error, None) if error else original(attempt, spec, *results)

    monkeypatch.setattr(Attempt, "_score_folds", scored)


def search(
    seconds: float, finished: dict[int, Trial] | None = None, **changes: Any
) -> tuple[MemoryLog, SearchResult]:
    log, case = MemoryLog(), plan(**{"max_minutes": seconds / 60, "max_evals": 50, **changes})
    return log, run_search(case, rows_of("binary"), cast(TrialLog, log), SETTINGS, finished or {})


def test_a_search_that_runs_out_of_time_ends_with_a_blend_of_the_trials_that_fit(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    trials_take(monkeypatch, clock, 10)
    log, result = search(100)
    assert result.stop_reason == "out_of_time"
    assert [trial.candidate.family for trial in result.trials].count("blend") == 1
    last = result.trials[-1]
    assert (last.number, last.candidate.params[CANDIDATES]) == (7, 2)  # 6 trials of 10 s: two fifths were reserved
    assert len(blend_members(last.candidate)) == 2
    assert log.trials == list(result.trials)
    assert "search stopped by its limit of 1.66667 minutes" in capsys.readouterr().out


def test_a_search_without_a_blend_keeps_time_for_refit_and_report(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    trials_take(monkeypatch, clock, 1)
    refits = 1 / 0.7  # the fold has seven rows of ten to fit
    searched = len(search(50, blend=0)[1].searched)
    assert searched == np.ceil(50 - REPORT_SECONDS - (refits + 1))


@pytest.mark.parametrize(("final", "compared"), [("refit", None), ("bag", 0), ("auto", 1)])
def test_time_for_the_first_form_of_the_final_model_that_fits_is_kept(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, final: str, compared: int | None
) -> None:
    trials_take(monkeypatch, clock, 4)
    refits = 1 / 0.7 + (0 if compared is None else 1 + compared)
    searched = len(search(100, blend=0, final=final)[1].searched)
    assert searched == np.ceil((100 - REPORT_SECONDS) / 4 - (refits + 1))


def test_if_no_comparison_of_a_bag_fits_time_is_kept_for_the_refit_alone(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    trials_take(monkeypatch, clock, 10)
    assert len(search(100, blend=0, final="auto")[1].searched) == len(search(100, blend=0)[1].searched)


def test_a_trial_that_would_end_too_late_stops_after_a_fold_once_another_one_has_succeeded(clock: Clock) -> None:
    split = plan().split.model_copy(update={"by": "stratified", "folds": 4})
    executor = InProcess(Attempt(list(folds(rows_of("binary"), split, 0)), 0, 0.5))
    candidate = Candidate("dummy", {})
    for number in (1, 2, 3):
        executor.submit(TrialSpec(number, candidate))
    ended = [executor.next(deadline) for deadline in (-100.0, -1.0, 1.0)]
    assert [trial.status for trial in ended if trial is not None] == ["ok", "timeout", "ok"]


@pytest.mark.parametrize("family", ["lightgbm", "xgboost", "catboost"])
def test_a_booster_stops_within_a_fit_and_a_deadline_that_it_meets_changes_nothing(family: str) -> None:
    rows, candidate = rows_of("binary"), Candidate.of(family, dict(POINTS)[family])
    part = next(iter(folds(rows, plan().split, 0)))
    late = Attempt([part], 0, 0.5)(TrialSpec(1, candidate, deadline=monotonic() - 1))
    assert (late.status, late.per_fold) == ("timeout", ())
    assert late.error == f"{family} was stopped within a fit: the search has no time for it"
    in_time, free = (fit(candidate, rows, 0, deadline=end) for end in (monotonic() + 600, None))
    inputs = rows.inputs("dense")
    np.testing.assert_array_equal(rows.task.predict(in_time, inputs), rows.task.predict(free, inputs))


def test_catboost_asks_for_the_time_after_its_rounds_only_if_it_may_be_late(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[object]()

    def after_iteration(_: CatBoost, state: object) -> bool:
        asked.append(state)
        return False

    monkeypatch.setattr(CatBoost, "after_iteration", after_iteration)
    rows, candidate = rows_of("binary"), Candidate.of("catboost", dict(POINTS)["catboost"])
    fit(candidate, rows, 0, deadline=monotonic() + 600)
    assert not asked
    with pytest.raises(FitOutOfTime):
        fit(candidate, rows, 0, deadline=monotonic())
    assert asked


def test_kept_predictions_give_the_blend_that_fitting_again_gives_and_cost_no_fit(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    trials = search(1000, max_evals=6)[1].trials
    searched = [trial for trial in trials if trial.number and trial.candidate.family != "blend"]
    assert any(trial.predictions is not None for trial in searched)
    case = plan()
    attempt = Attempt(list(folds(rows_of("binary"), case.split, case.search.seed)), case.search.seed, 0.5)
    again = blend([replace(trial, predictions=None) for trial in searched], attempt, "log_loss", 5)
    monkeypatch.setattr("training.search.blending.fit_each", None)
    kept = blend(searched, attempt, "log_loss", 5)
    assert (kept.candidate, kept.metrics, kept.per_fold) == (again.candidate, again.metrics, again.per_fold)
    assert kept.predictions is not None
    assert all(map(np.array_equal, kept.predictions, again.predictions or ()))
    assert clock.now == 0


def test_a_run_has_one_budget_from_its_start(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    trials_take(monkeypatch, clock, 10)
    budget = Budget.of(100)
    clock.now = 60  # reading the tables took a minute
    log, case = MemoryLog(), plan(max_minutes=100 / 60, max_evals=50)
    result = run_search(case, rows_of("binary"), cast(TrialLog, log), SETTINGS, {}, budget)
    assert len(result.searched) == 3
    assert (budget.left(), budget.allows(10), budget.allows(11)) == (10, True, False)


def test_a_blend_that_does_not_fit_into_the_time_left_is_named_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    trials_take(monkeypatch, clock, 55)
    _, result = search(100)
    assert [trial.number for trial in result.trials] == [0, 1, 2]
    assert "no blend: the two best trials take 157.1 s to fit again, and 40.0 s are left" in capsys.readouterr().out


def test_the_first_model_is_the_result_if_no_trial_succeeds_in_time(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("training.search.first_model.ROWS", 40)
    trials_take(monkeypatch, clock, 100, error="ValueError: no")
    log, result = search(50)
    last = result.best("log_loss")
    assert (last.number, last.status, last.candidate.family) == (2, "ok", "logistic_regression")
    assert last.candidate.params[SAMPLE_ROWS] == 40
    assert log.trials == list(result.trials)
    shown = capsys.readouterr().out
    assert (
        "first model: logistic_regression on at most 40 rows of each fold, in case no trial ends in time: log_loss 0."
        in shown
    )
    assert "no blend: 0 distinct trials succeeded, and a blend takes two" in shown
    assert "no trial succeeded in time: the first model becomes trial 2" in shown


@pytest.mark.usefixtures("clock")
def test_a_resumed_search_ignores_the_first_model_of_the_interrupted_one() -> None:
    first = Trial(3, Candidate("knn", {SAMPLE_ROWS: 5000}), {"log_loss": 0.1}, (), timedelta(0))
    log, result = search(100, {3: first}, method="grid", families=["knn"], space=SMALL_GRID)
    assert [trial.number for trial in log.trials] == [0, 1, 2, 3, 4, 5]
    assert all(SAMPLE_ROWS not in trial.candidate.params for trial in result.trials)


SMALL_GRID = {"knn": {"n_neighbors": [3, 5], "distance": ["cosine"], "numeric_shape": ["as_is"]}}


def test_a_search_whose_every_trial_fails_before_its_limit_still_fails(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    trials_take(monkeypatch, clock, 1, error="ValueError: no")
    _, result = search(1000, method="grid", families=["knn"], space=SMALL_GRID)
    assert result.stop_reason == "complete"
    with pytest.raises(SearchFailed, match="none of 4 trials succeeded"):
        result.best("log_loss")


@pytest.mark.usefixtures("clock")
def test_a_search_without_a_limit_fits_no_first_model(capsys: pytest.CaptureFixture[str]) -> None:
    log = MemoryLog()
    run_search(plan(max_evals=2), rows_of("binary"), cast(TrialLog, log), SETTINGS, {})
    assert "first model" not in capsys.readouterr().out


def test_a_candidate_of_a_sample_is_fitted_on_it_alone() -> None:
    rows, params = rows_of("binary"), dict(POINTS)["logistic_regression"]
    sampled = fit(Candidate.of("logistic_regression", {**params, SAMPLE_ROWS: 50}), rows, 3)
    alone = fit(Candidate.of("logistic_regression", params), rows.rows(sample(rows, 50, 3)), 3)
    assert np.array_equal(sampled.predict_proba(rows.x), alone.predict_proba(rows.x))
    complete = fit(Candidate.of("logistic_regression", params), rows, 3)
    assert not np.array_equal(sampled.predict_proba(rows.x), complete.predict_proba(rows.x))
