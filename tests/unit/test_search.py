"""The search: repeatable, with real values, and not stopped by a trial that fails."""

from datetime import timedelta

import pytest

from tests.unit.frames import alternating
from training.dataset import rolling_origin
from training.models import FAMILIES
from training.search.hyperopt import SearchFailed, best, search
from training.search.space import Choice, Params
from training.search.trial import Candidate, Trial, run_trial
from training.use_case import Search


def plan(**changes: object) -> Search:
    return Search.model_validate({"families": tuple(FAMILIES), "max_evals": 15, "seed": 7, **changes})


def trial(number: int, candidate: Candidate, metrics: dict[str, float]) -> Trial:
    return Trial(number, candidate, metrics, (metrics,), timedelta(0), None if metrics else "ValueError: no")


def by_number(number: int, candidate: Candidate) -> Trial:
    return trial(number, candidate, {"roc_auc": number / 100, "log_loss": number / 10})


@pytest.mark.parametrize("method", ["tpe", "random"])
def test_a_seed_repeats_the_candidates(method: str) -> None:
    first, again = search(plan(method=method), by_number), search(plan(method=method), by_number)
    assert [t.candidate for t in first] == [t.candidate for t in again]
    assert [t.number for t in first] == list(range(1, 16))
    other = search(plan(method=method, seed=8), by_number)
    assert [t.candidate for t in other] != [t.candidate for t in first]


def test_candidates_are_real_values_of_the_space() -> None:
    tried = [t.candidate for t in search(plan(max_evals=40), by_number)]
    assert {candidate.family for candidate in tried} == set(FAMILIES)
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
def test_the_best_is_the_largest_or_the_smallest_as_the_metric_says(metric: str, number: int) -> None:
    assert best(search(plan(metric=metric), by_number), metric).number == number


def test_of_equal_trials_the_earliest_is_the_best() -> None:
    found = search(plan(), lambda number, candidate: trial(number, candidate, {"roc_auc": 0.5}))
    assert best(found, "roc_auc").number == 1


def test_a_failed_trial_is_recorded_and_passed_over() -> None:
    def run(number: int, candidate: Candidate) -> Trial:
        return trial(number, candidate, {} if number % 2 else {"roc_auc": number / 100})

    found = search(plan(), run)
    assert [t.status for t in found[:3]] == ["fail", "ok", "fail"]
    assert best(found, "roc_auc").number == 14


def test_a_search_in_which_all_fails_says_why() -> None:
    with pytest.raises(SearchFailed, match=r"none of 15 trials .* ValueError: no"):
        search(plan(), lambda number, candidate: trial(number, candidate, {}))


def test_a_metric_that_is_no_number_is_never_the_best() -> None:
    def run(number: int, candidate: Candidate) -> Trial:
        return trial(number, candidate, {"roc_auc": float("nan") if number != 3 else 0.1})

    assert best(search(plan(), run), "roc_auc").number == 3


def test_a_trial_has_the_mean_of_its_folds() -> None:
    folds = list(rolling_origin(alternating(80), 3))
    params: Params = {
        "inverse_regularization": 1.0,
        "penalty": "l2",
        "numeric_shape": "as_is",
        "recency_half_life_days": None,
    }
    done = run_trial(4, Candidate("logistic_regression", params), folds, 0, 0.5)
    assert (done.number, done.status, len(done.per_fold)) == (4, "ok", 3)
    assert done.metrics["roc_auc"] == pytest.approx(sum(fold["roc_auc"] for fold in done.per_fold) / 3)


def test_a_candidate_that_cannot_be_fitted_is_a_failed_trial() -> None:
    folds = list(rolling_origin(alternating(20), 1))
    params: Params = {"n_neighbors": 500, "weights": "uniform", "distance": "euclidean", "numeric_shape": "as_is"}
    failed = run_trial(1, Candidate("knn", params), folds, 0, 0.5)
    assert failed.metrics == {}
    assert "ValueError" in str(failed.error)
