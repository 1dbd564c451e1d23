"""The portfolio: strong points first, inside the space, recorded as such."""

import pytest

from tests.unit.frames import alternating, by_time
from tests.unit.search.test_search import by_number, plan, search
from training.frame import splits
from training.models import FAMILIES
from training.models.portfolio import CATBOOST_ROUNDS, PORTFOLIOS, ROUNDS
from training.search.record import from_json, to_json
from training.search.trial import Trial, run_trial
from training.space.space import Choice, require_valid

FAMILIES_WITH_POINTS = ("logistic_regression", "knn", "lightgbm", "xgboost", "catboost", "gradient_boosting")
BOOSTERS = ("lightgbm", "xgboost", "catboost")


def test_every_family_of_trees_and_linear_ones_have_three_to_six_points_of_known_dimensions() -> None:
    linear, trees = (
        {"logistic_regression", "ridge", "elastic_net"},
        {"gradient_boosting", "random_forest", "extra_trees"},
    )
    assert set(PORTFOLIOS) == {*linear, *trees, *BOOSTERS}
    for family, portfolio in PORTFOLIOS.items():
        space = require_valid({**FAMILIES[family].space, **portfolio.space})
        assert 3 <= len(portfolio.points) <= 6
        for name, value in ((name, value) for point in portfolio.points for name, value in point.items()):
            dimension = space[name]
            if isinstance(dimension, Choice):
                assert value in dimension.values
            else:
                assert dimension.low <= float(str(value)) <= dimension.high, (family, name)


@pytest.mark.parametrize("engine", ["hyperopt", "optuna"])
def test_the_first_point_of_every_family_comes_first_and_the_cheapest_family_before_others(engine: str) -> None:
    portfolio = plan(families=FAMILIES_WITH_POINTS, portfolio=True, max_evals=24, engine=engine)
    initial = portfolio.joint_space().initial
    tried = [trial.candidate for trial in search(portfolio, by_number)]
    assert tuple(tried[: len(initial)]) == initial
    first_round = ["logistic_regression", "lightgbm", "xgboost", "gradient_boosting", "knn", "catboost"]
    assert [candidate.family for candidate in initial[:6]] == first_round
    assert [candidate.family for candidate in initial[6:]] == [
        *("logistic_regression", "lightgbm", "xgboost", "gradient_boosting", "catboost") * 2,
        *("lightgbm", "xgboost"),
    ]
    limits = {(each.family, each.params["max_rounds"]) for each in initial if each.family in BOOSTERS}
    assert limits == {*((family, ROUNDS) for family in BOOSTERS), ("catboost", CATBOOST_ROUNDS)}
    origins = [portfolio.origin(candidate) for candidate in tried]
    assert origins[:6] == ["portfolio"] * 4 + ["default", "portfolio"]
    assert set(origins[len(initial) :]) == {f"tpe by {engine}"}


def test_points_follow_a_narrowed_space_and_equal_ones_are_tried_once() -> None:
    narrowed = plan(
        families=["lightgbm"],
        portfolio=True,
        space={"lightgbm": {"num_leaves": {"low": 10, "high": 20}, "max_rounds": [500], "extra_trees": [False]}},
    )
    leaves = [candidate.params["num_leaves"] for candidate in narrowed.joint_space().initial]
    assert leaves == [20, 20, 10, 20]
    assert {candidate.params["max_rounds"] for candidate in narrowed.joint_space().initial} == {500}
    one_value = plan(
        families=["ridge"],
        metric="mse",
        portfolio=True,
        space={"ridge": {"alpha": [2.0], "numeric_shape": ["as_is"]}},
    )
    assert len(one_value.joint_space().initial) == 1


def test_a_search_without_a_portfolio_and_a_grid_are_as_before() -> None:
    families = ["logistic_regression", "lightgbm"]
    without = plan(families=families).joint_space()
    assert [candidate.family for candidate in without.initial] == families
    assert "max_rounds" not in without.families["lightgbm"]
    assert plan().origin(without.initial[0]) == "default"
    with pytest.raises(ValueError, match="a grid has its own order"):
        plan(method="grid", portfolio=True)


@pytest.mark.parametrize("family", ["gradient_boosting", *BOOSTERS, "logistic_regression"])
def test_every_point_can_be_fitted_and_its_origin_is_recorded(family: str) -> None:
    rows = list(splits.folds(alternating(80), by_time(folds=1), 0))
    chosen = plan(
        families=[family], portfolio=True, space={} if family not in BOOSTERS else {family: {"max_rounds": [320]}}
    )
    for number, candidate in enumerate(chosen.joint_space().initial, start=1):
        result = run_trial(number, candidate, rows, 0, 0.5)
        assert result.status == "ok", result.error
        fields = {**vars(result), "origin": chosen.origin(candidate)}
        assert from_json(to_json(Trial(**fields))).origin == "portfolio"
