"""The search: repeatable, with real values, and not ended by a failed trial."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Never

import pytest

from lakehouse.settings import Settings
from tests.unit.frames import alternating, by_time, frame
from training.frame import splits
from training.models import FAMILIES, SEARCHED
from training.models.family import DataFacts
from training.search import running
from training.search.fitting import ages_in_days
from training.search.result import SearchFailed, SearchResult
from training.search.trial import Trial, best, run_trial
from training.space.joint_space import Candidate
from training.space.space import Choice, Params
from training.use_case.search import SearchPlan

SETTINGS = Settings.from_environment({})


def plan(**changes: object) -> SearchPlan:
    return SearchPlan.model_validate(
        {"families": ("logistic_regression", "knn"), "max_evals": 15, "seed": 7, **changes}
    )


def searched(plan: SearchPlan, run: Callable[[int, Candidate], Trial]) -> SearchResult:
    recorded: list[Trial] = []
    result = running.run_plan(plan, lambda task: run(task.number, task.candidate), recorded.append, SETTINGS)
    assert tuple(recorded) == result.trials
    assert result.stop_reason == "complete"
    return result


def search(plan: SearchPlan, run: Callable[[int, Candidate], Trial]) -> list[Trial]:
    return list(searched(plan, run).trials)


def trial(number: int, candidate: Candidate, metrics: dict[str, float]) -> Trial:
    return Trial(number, candidate, metrics, (metrics,), timedelta(0), None if metrics else "ValueError: no")


def by_number(number: int, candidate: Candidate) -> Trial:
    return trial(number, candidate, {"roc_auc": number / 100, "log_loss": number / 10})


@pytest.mark.parametrize("engine", ["hyperopt", "optuna"])
@pytest.mark.parametrize("method", ["tpe", "random"])
def test_a_seed_repeats_the_candidates(method: str, engine: str) -> None:
    chosen = {"method": method, "engine": engine}
    first, again = search(plan(**chosen), by_number), search(plan(**chosen), by_number)
    assert [t.candidate for t in first] == [t.candidate for t in again]
    assert [t.number for t in first] == list(range(1, 16))
    other = search(plan(**chosen, seed=8), by_number)
    assert [t.candidate for t in other] != [t.candidate for t in first]


def test_candidates_are_real_values_of_the_space() -> None:
    tried = [t.candidate for t in search(plan(families=SEARCHED, max_evals=60), by_number)]
    assert {candidate.family for candidate in tried} == set(SEARCHED)
    for candidate in tried:
        space = FAMILIES[candidate.family].space
        assert set(candidate.params) == set(space)
        for name, value in candidate.params.items():
            dimension = space[name]
            if isinstance(dimension, Choice):
                assert value in dimension.values
            else:
                assert isinstance(value, int | float)
                assert dimension.low <= value <= dimension.high
    neighbours = [c.params["n_neighbors"] for c in tried if c.family == "knn"]
    assert all(type(value) is int for value in neighbours)


@pytest.mark.parametrize(("metric", "number"), [("roc_auc", 15), ("log_loss", 1)])
def test_the_best_is_the_largest_or_smallest_by_metric(metric: str, number: int) -> None:
    assert best(search(plan(metric=metric), by_number), metric).number == number


def test_the_earliest_of_equal_trials_is_the_best() -> None:
    trials = search(plan(), lambda number, candidate: trial(number, candidate, {"roc_auc": 0.5}))
    assert best(trials, "roc_auc").number == 1


def test_a_failed_trial_is_recorded_and_never_the_best() -> None:
    def run(number: int, candidate: Candidate) -> Trial:
        return trial(number, candidate, {} if number % 2 else {"roc_auc": number / 100})

    trials = search(plan(), run)
    assert [t.status for t in trials[:3]] == ["failed", "ok", "failed"]
    assert best(trials, "roc_auc").number == 14


def test_a_search_without_a_successful_trial_fails_with_the_last_error() -> None:
    failed = searched(plan(), lambda number, candidate: trial(number, candidate, {}))
    with pytest.raises(SearchFailed, match=r"none of 15 trials .* ValueError: no"):
        failed.best("roc_auc")


def test_a_metric_that_is_not_a_number_is_never_the_best() -> None:
    def run(number: int, candidate: Candidate) -> Trial:
        return trial(number, candidate, {"roc_auc": float("nan") if number != 3 else 0.1})

    assert best(search(plan(), run), "roc_auc").number == 3


def test_a_trial_has_the_mean_of_its_folds() -> None:
    folds = list(splits.folds(alternating(80), by_time(folds=3), 0))
    params: Params = {
        "inverse_regularization": 1.0,
        "penalty": "l2",
        "numeric_shape": "as_is",
        "class_weight": None,
        "recency_half_life_days": None,
    }
    result = run_trial(4, Candidate("logistic_regression", params), folds, 0, 0.5)
    assert (result.number, result.status, len(result.per_fold)) == (4, "ok", 3)
    assert result.metrics["roc_auc"] == pytest.approx(sum(fold["roc_auc"] for fold in result.per_fold) / 3)


def test_a_candidate_that_cannot_be_fitted_is_a_failed_trial() -> None:
    folds = list(splits.folds(alternating(20), by_time(folds=1), 0))
    params: Params = {"n_neighbors": 0, "weights": "uniform", "distance": "euclidean", "numeric_shape": "as_is"}
    failed = run_trial(1, Candidate("knn", params), folds, 0, 0.5)
    assert failed.metrics == {}
    assert "InvalidParameterError: The 'n_neighbors' parameter" in str(failed.error)


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss"])
def test_tpe_is_repeatable_after_its_random_start(metric: str) -> None:
    """TPE draws its first twenty trials at random, and learns after them."""

    def run(number: int, candidate: Candidate) -> Trial:
        return trial(number, candidate, {metric: 0.9 if candidate.family == "knn" else 0.1})

    first, again = search(plan(max_evals=60, metric=metric), run), search(plan(max_evals=60, metric=metric), run)
    assert [t.candidate for t in first] == [t.candidate for t in again]
    better = "logistic_regression" if metric == "log_loss" else "knn"
    learned = [t.candidate.family for t in first[20:]]
    assert learned.count(better) > 0.7 * len(learned)
    assert best(first, metric).candidate.family == better


@pytest.mark.parametrize("failing", [range(1, 26), range(26, 36), range(1, 36, 2)], ids=["first", "last", "odd"])
@pytest.mark.parametrize(("engine", "method"), [("hyperopt", "tpe"), ("hyperopt", "random"), ("optuna", "tpe")])
def test_the_search_continues_whichever_trials_fail(engine: str, method: str, failing: range) -> None:
    def run(number: int, candidate: Candidate) -> Trial:
        return trial(number, candidate, {} if number in failing else {"roc_auc": 1 - number / 100})

    trials = search(plan(method=method, engine=engine, max_evals=35), run)
    assert [t.number for t in trials if t.status == "failed"] == list(failing)
    assert len(trials) == 35
    assert best(trials, "roc_auc").number == min(set(range(1, 36)) - set(failing))


def test_a_single_family_is_searched() -> None:
    assert {t.candidate.family for t in search(plan(families=["knn"]), by_number)} == {"knn"}


@pytest.mark.parametrize("max_evals", [1, 3])
def test_the_plan_sets_the_number_of_trials(max_evals: int) -> None:
    assert len(search(plan(max_evals=max_evals), by_number)) == max_evals


def test_an_unexpected_error_in_a_trial_ends_the_search() -> None:
    def run(number: int, candidate: Candidate) -> Trial:
        raise KeyError(f"trial {number}")

    with pytest.raises(KeyError, match="trial 1"):
        search(plan(), run)


@pytest.mark.parametrize(
    ("metrics", "metric", "loss"),
    [
        ({"roc_auc": 0.8}, "roc_auc", -0.8),
        ({"log_loss": 0.3}, "log_loss", 0.3),
        ({"roc_auc": float("nan")}, "roc_auc", float("inf")),
        ({"roc_auc": 0.8}, "log_loss", float("inf")),
        ({}, "roc_auc", float("inf")),
    ],
)
def test_a_loss_is_infinite_without_a_number(metrics: dict[str, float], metric: str, loss: float) -> None:
    assert trial(1, Candidate("knn", {}), metrics).loss(metric) == loss


@pytest.mark.parametrize("values", [[0.5, 0.7, 0.7], [0.7, 0.5, 0.7], [0.7, 0.7, 0.5]])
def test_the_earliest_best_trial_does_not_depend_on_the_order(values: list[float]) -> None:
    trials = [trial(number, Candidate("knn", {}), {"roc_auc": v}) for number, v in enumerate(values, start=1)]
    first = values.index(0.7) + 1
    assert best(trials, "roc_auc").number == best(trials[::-1], "roc_auc").number == first


@pytest.mark.parametrize(
    ("error", "recorded", "status"),
    [
        (ValueError("no"), "ValueError: no", "failed"),
        (MemoryError("full"), "MemoryError: full", "out_of_memory"),
        (ZeroDivisionError("x"), "Zero", "failed"),
    ],
)
def test_a_fit_that_fails_is_recorded_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, error: Exception, recorded: str, status: str
) -> None:
    def unbuilt(params: Params, seed: int, facts: DataFacts) -> Never:
        raise error

    families = {"knn": replace(FAMILIES["knn"], build=unbuilt)}
    monkeypatch.setattr("training.search.fitting.FAMILIES", families)
    failed = run_trial(2, Candidate("knn", {}), list(splits.folds(alternating(20), by_time(folds=1), 0)), 0, 0.5)
    assert (failed.number, failed.status, failed.per_fold) == (2, status, ())
    assert str(failed.error).startswith(recorded)


def test_ages_count_in_days_from_the_newest_row() -> None:
    assert ages_in_days(frame([0, 1, 1, 31], [0, 1, 0, 1])).tolist() == [31, 30, 30, 0]
