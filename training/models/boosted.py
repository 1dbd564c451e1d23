"""Families of the boosting libraries; their estimators are in `scoring.estimators`."""

from typing import TYPE_CHECKING

from training.models.family import ALL_TASKS, CLASS_WEIGHT, RECENCY, DataFacts, Family, class_weight
from training.space.space import Choice, Float, Int, Params, Space

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

# Upper limits of the boosting rounds; `scoring.estimators.early_stopping` finds the count.
LIGHTGBM_ROUNDS, XGBOOST_ROUNDS, CATBOOST_ROUNDS = 300, 300, 200
# The limit as a dimension. Beyond the limits above, early stopping is as patient as the learning rate is small.
ROUNDS: Space = {"max_rounds": Int(50, 5000, log=True)}
NOT_OPTIONS = frozenset({"recency_half_life_days", "class_weight", *ROUNDS})


def max_rounds(params: Params, default: int) -> int:
    """The upper limit of the boosting rounds: a hyperparameter if the use case searches it, else the default."""
    limit = params.get("max_rounds")
    return default if limit is None else int(str(limit))


def _lightgbm(params: Params, seed: int, facts: DataFacts) -> "Pipeline":
    from sklearn.pipeline import Pipeline

    from scoring.estimators.lightgbm import LightGbm

    options = {
        name: params[name]
        for name in ("learning_rate", "num_leaves", "min_child_samples", "reg_lambda", "colsample_bytree")
    }
    options |= {"subsample": params["subsample"], "subsample_freq": 1}
    if params.get("extra_trees"):
        options["extra_trees"] = True
    options |= class_weight(params, facts)
    rounds = max_rounds(params, LIGHTGBM_ROUNDS)
    return Pipeline([("model", LightGbm(facts.task.name, rounds, options, tuple(facts.categories), seed))])


LIGHTGBM = Family(
    name="lightgbm",
    display_name="LightGBM",
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
    matrix_format="dense",
    missing_values="native",
    accepts_weights=True,
    cost=4,
    stops_early=True,
    optional=ROUNDS,
    ends_stacks=True,
)


def _xgboost(params: Params, seed: int, facts: DataFacts) -> "Pipeline":
    from sklearn.pipeline import Pipeline

    from scoring.estimators.xgboost import XgBoost

    options = {name: value for name, value in params.items() if name not in NOT_OPTIONS}
    options |= class_weight(params, facts)
    rounds = max_rounds(params, XGBOOST_ROUNDS)
    return Pipeline([("model", XgBoost(facts.task.name, rounds, options, tuple(facts.categories), seed))])


XGBOOST = Family(
    name="xgboost",
    display_name="XGBoost",
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
    matrix_format="dense",
    missing_values="native",
    accepts_weights=True,
    cost=5,
    stops_early=True,
    optional=ROUNDS,
    ends_stacks=True,
)


def _catboost(params: Params, seed: int, facts: DataFacts) -> "Pipeline":
    from sklearn.pipeline import Pipeline

    from scoring.estimators.catboost import CatBoost

    options = {name: value for name, value in params.items() if name not in NOT_OPTIONS}
    if facts.task.predicts_classes and params["class_weight"]:
        options["auto_class_weights"] = "Balanced"
    rounds = max_rounds(params, CATBOOST_ROUNDS)
    return Pipeline([("model", CatBoost(facts.task.name, rounds, options, tuple(facts.categories), seed))])


CATBOOST = Family(
    name="catboost",
    display_name="CatBoost",
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
    matrix_format="dense",
    missing_values="native",
    accepts_weights=True,
    cost=13,
    stops_early=True,
    optional=ROUNDS,
    ends_stacks=True,
)
