"""The portfolio: hyperparameters from which a search may start, a few per family that are good on many tables.

The values follow the defaults of the libraries and the rules that published comparisons of tuned models agree on:
small learning rates with early stopping; one deep, one shallow and one randomised model; shares of rows and columns
below 1. They are rounded, and were chosen on no data set of this project.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from training.models import FAMILIES
from training.space.joint_space import Candidate, JointSpace
from training.space.space import Choice, Dimension, Float, Int, Params, Space, Value

ROUNDS = 3000  # limit of the boosting rounds; early stopping finds how many a learning rate needs
# CatBoost's first limit: its rounds are the slowest, and its loss falls a little for as long as they last. On 125
# rows of three classes, 3,000 rounds took 2.4 times as long as 1,000, and were no better on the folds.
CATBOOST_ROUNDS = 1000


@dataclass(frozen=True)
class Portfolio:
    """The points of one family.

    Attributes:
        points: best first; omitted hyperparameters have their default.
        space: dimensions that a search with the portfolio has in place of declared ones, or in addition.
    """

    points: Sequence[Params]
    space: Space = field(default_factory=dict)


_BOOSTERS: Space = {"max_rounds": Choice((ROUNDS,))}

PORTFOLIOS: Mapping[str, Portfolio] = {
    "logistic_regression": Portfolio(
        (
            {"inverse_regularization": 1.0, "penalty": "l2", "numeric_shape": "as_is"},
            {"inverse_regularization": 0.1, "penalty": "l1", "numeric_shape": "arcsinh"},
            {"inverse_regularization": 0.01, "penalty": "l2", "numeric_shape": "arcsinh"},
        )
    ),
    "ridge": Portfolio(
        (
            {"alpha": 1.0, "numeric_shape": "as_is"},
            {"alpha": 30.0, "numeric_shape": "arcsinh"},
            {"alpha": 1000.0, "numeric_shape": "as_is"},
        )
    ),
    "elastic_net": Portfolio(
        (
            {"alpha": 0.01, "l1_ratio": 0.5, "numeric_shape": "as_is"},
            {"alpha": 0.1, "l1_ratio": 0.5, "numeric_shape": "arcsinh"},
            {"alpha": 0.001, "l1_ratio": 0.9, "numeric_shape": "as_is"},
        )
    ),
    "random_forest": Portfolio(
        (
            {"n_estimators": 100, "max_depth": 24, "min_samples_leaf": 3, "max_features": 0.4},
            {"n_estimators": 100, "max_depth": 12, "min_samples_leaf": 20, "max_features": 0.4},
            {"n_estimators": 150, "max_depth": 24, "min_samples_leaf": 5, "max_features": 0.2},
        ),
        {
            "n_estimators": Int(30, 200, log=True),
            "max_depth": Int(3, 32),
            "min_samples_leaf": Int(1, 300, log=True),
        },
    ),
    "extra_trees": Portfolio(
        (
            {"n_estimators": 100, "max_depth": 32, "min_samples_leaf": 2, "max_features": 0.6},
            {"n_estimators": 100, "max_depth": 32, "min_samples_leaf": 1, "max_features": 1.0},
            {"n_estimators": 150, "max_depth": 32, "min_samples_leaf": 10, "max_features": 0.8},
        ),
    ),
    "gradient_boosting": Portfolio(
        (
            {"max_iter": 150, "learning_rate": 0.07, "max_leaf_nodes": 31, "min_samples_leaf": 20,
             "max_features": 0.8},
            {"max_iter": 300, "learning_rate": 0.04, "max_leaf_nodes": 8, "min_samples_leaf": 50,
             "max_features": 0.5},
            {"max_iter": 400, "learning_rate": 0.02, "max_leaf_nodes": 24, "min_samples_leaf": 10,
             "max_features": 0.4},
        ),
        {"max_iter": Int(10, 600, log=True), "min_samples_leaf": Int(5, 1000, log=True)},
    ),
    "lightgbm": Portfolio(
        (
            {"learning_rate": 0.05, "num_leaves": 31, "min_child_samples": 20, "reg_lambda": 0.1,
             "colsample_bytree": 0.9, "subsample": 0.9},
            {"learning_rate": 0.04, "num_leaves": 31, "min_child_samples": 20, "reg_lambda": 0.1,
             "colsample_bytree": 0.7, "subsample": 1.0, "extra_trees": True},
            {"learning_rate": 0.03, "num_leaves": 8, "min_child_samples": 100, "reg_lambda": 10.0,
             "colsample_bytree": 0.6, "subsample": 0.8},
            {"learning_rate": 0.03, "num_leaves": 127, "min_child_samples": 5, "reg_lambda": 1.0,
             "colsample_bytree": 0.6, "subsample": 0.8},
        ),
        {
            "learning_rate": Float(0.01, 0.2, log=True),
            "num_leaves": Int(3, 255, log=True),
            "min_child_samples": Int(2, 1000, log=True),
            "reg_lambda": Float(0.01, 100, log=True),
            "extra_trees": Choice((False, True)),
            **_BOOSTERS,
        },
    ),
    "xgboost": Portfolio(
        (
            {"learning_rate": 0.08, "max_depth": 6, "min_child_weight": 1.0, "reg_lambda": 1.0,
             "colsample_bytree": 0.8, "subsample": 0.9},
            {"learning_rate": 0.06, "max_depth": 3, "min_child_weight": 5.0, "reg_lambda": 5.0,
             "colsample_bytree": 0.6, "subsample": 0.8, "max_cat_to_onehot": 16},
            {"learning_rate": 0.03, "max_depth": 9, "min_child_weight": 2.0, "reg_lambda": 2.0,
             "colsample_bytree": 0.5, "subsample": 0.8},
            {"learning_rate": 0.05, "max_depth": 4, "min_child_weight": 50.0, "reg_lambda": 30.0,
             "colsample_bytree": 0.4, "subsample": 0.7, "max_cat_to_onehot": 16},
        ),
        {"learning_rate": Float(0.01, 0.2, log=True), "max_depth": Int(1, 10), **_BOOSTERS},
    ),
    "catboost": Portfolio(
        (
            {"learning_rate": 0.06, "depth": 6, "l2_leaf_reg": 3.0, "rsm": 1.0},
            {"learning_rate": 0.06, "depth": 4, "l2_leaf_reg": 5.0, "rsm": 0.7},
            {"learning_rate": 0.05, "depth": 8, "l2_leaf_reg": 3.0, "rsm": 0.5, "max_rounds": ROUNDS},
        ),
        {
            "learning_rate": Float(0.01, 0.3, log=True),
            "depth": Int(2, 8),
            "max_rounds": Choice((CATBOOST_ROUNDS, ROUNDS)),
        },
    ),
}  # fmt: skip


def portfolio_points(space: JointSpace) -> tuple[Candidate, ...]:
    """The points from which a search starts, in order: the first point of every family, then the second ones, ...

    The first points gain most, whatever the family, and models of several families blend best; among points of equal
    rank the cheapest family comes first. A family without a portfolio has its default. Each point lies inside the
    space: where `search.space` narrows a dimension, the point takes the nearest value of a range, or the first one of
    a list that lacks its value.
    """
    cheapest_first = sorted(space.families, key=lambda family: FAMILIES[family].cost)
    by_family = {family: list(_points(space, family)) for family in cheapest_first}
    ranks = range(max(map(len, by_family.values()), default=0))
    points = (by_family[family][rank] for rank in ranks for family in cheapest_first if rank < len(by_family[family]))
    distinct: list[Candidate] = []
    for point in points:
        if point not in distinct:
            distinct.append(point)
    return tuple(distinct)


def _points(space: JointSpace, family: str) -> Iterator[Candidate]:
    if family not in PORTFOLIOS:
        yield space.default(family)
        return
    for params in PORTFOLIOS[family].points:
        yield space.at(
            family, {name: _inside(space.families[family].get(name), value) for name, value in params.items()}
        )


def _inside(dimension: Dimension | None, value: Value) -> Value:
    """The value of the dimension that is nearest to this one."""
    if dimension is None:
        return value
    if isinstance(dimension, Choice):
        return (
            value
            if any(type(each) is type(value) and each == value for each in dimension.values)
            else dimension.default
        )
    nearest = min(max(float(str(value)), dimension.low), dimension.high)
    return round(nearest) if isinstance(dimension, Int) else float(nearest)
