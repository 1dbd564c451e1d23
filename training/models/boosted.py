"""Boosters of libraries of their own, as families. What fits them stands in a module of each library."""

from typing import TYPE_CHECKING

from training.models.family import ALL_TASKS, CLASS_WEIGHT, RECENCY, DataFacts, Family
from training.space.space import Choice, Float, Int, Params

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

LIGHTGBM_ROUNDS, XGBOOST_ROUNDS, CATBOOST_ROUNDS = (
    300,
    300,
    200,
)  # at most; `scoring.estimators.early_stopping` finds how many


def _lightgbm(params: Params, seed: int, given: DataFacts) -> "Pipeline":
    from sklearn.pipeline import Pipeline

    from scoring.estimators.lightgbm import LightGbm

    options = {
        name: params[name]
        for name in ("learning_rate", "num_leaves", "min_child_samples", "reg_lambda", "colsample_bytree")
    }
    options |= {"subsample": params["subsample"], "subsample_freq": 1}
    options |= {"class_weight": params["class_weight"]} if given.task != "regression" else {}
    return Pipeline([("model", LightGbm(given.task, LIGHTGBM_ROUNDS, options, tuple(given.categories), seed))])


LIGHTGBM = Family(
    name="lightgbm",
    title="LightGBM",
    space={
        "learning_rate": Float(0.02, 0.2, log=True),
        "num_leaves": Int(3, 63, log=True),
        "min_child_samples": Int(20, 1000, log=True),
        "reg_lambda": Float(0.1, 100, log=True),
        "colsample_bytree": Float(0.3, 1),
        "subsample": Float(0.5, 1),
        "class_weight": CLASS_WEIGHT,
        "recency_half_life_days": RECENCY,
    },
    build=_lightgbm,
    tasks=ALL_TASKS,
    takes="dense",
    takes_weights=True,
    cost=4,
)


def _xgboost(params: Params, seed: int, given: DataFacts) -> "Pipeline":
    from sklearn.pipeline import Pipeline

    from scoring.estimators.xgboost import XgBoost

    of_rows = {"recency_half_life_days"} if given.task != "regression" else {"recency_half_life_days", "class_weight"}
    named = {name: value for name, value in params.items() if name not in of_rows}
    return Pipeline([("model", XgBoost(given.task, XGBOOST_ROUNDS, named, tuple(given.categories), seed))])


XGBOOST = Family(
    name="xgboost",
    title="XGBoost",
    space={
        "learning_rate": Float(0.02, 0.2, log=True),
        "max_depth": Int(1, 8),
        "min_child_weight": Float(1, 200, log=True),
        "reg_lambda": Float(0.1, 100, log=True),
        "colsample_bytree": Float(0.3, 1),
        "subsample": Float(0.5, 1),
        "max_cat_to_onehot": Choice((1, 16)),
        "class_weight": CLASS_WEIGHT,
        "recency_half_life_days": RECENCY,
    },
    build=_xgboost,
    tasks=ALL_TASKS,
    takes="dense",
    takes_weights=True,
    cost=5,
)


def _catboost(params: Params, seed: int, given: DataFacts) -> "Pipeline":
    from sklearn.pipeline import Pipeline

    from scoring.estimators.catboost import CatBoost

    named = {name: value for name, value in params.items() if name not in {"recency_half_life_days", "class_weight"}}
    if given.task != "regression" and params["class_weight"]:
        named["auto_class_weights"] = "Balanced"
    return Pipeline([("model", CatBoost(given.task, CATBOOST_ROUNDS, named, tuple(given.categories), seed))])


CATBOOST = Family(
    name="catboost",
    title="CatBoost",
    space={
        "learning_rate": Float(0.03, 0.3, log=True),
        "depth": Int(2, 7),
        "l2_leaf_reg": Float(1, 100, log=True),
        "rsm": Float(0.3, 1),
        "class_weight": CLASS_WEIGHT,
        "recency_half_life_days": RECENCY,
    },
    build=_catboost,
    tasks=ALL_TASKS,
    takes="dense",
    takes_weights=True,
    cost=13,
)
