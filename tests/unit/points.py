"""Points of the families' spaces at which each learns from few rows, and rows of every task."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from scoring.tasks import FORECAST, MULTICLASS, REGRESSION
from tests.unit.frames import ENCODER, alternating
from training.frame.frame import TrainingFrame
from training.frame.splits import folds
from training.models import FAMILIES
from training.search.stacking import with_out_of_fold
from training.search.trial import Attempt, TrialSpec
from training.space.joint_space import Candidate
from training.space.space import Params
from training.use_case.forecast import ForecastColumns
from training.use_case.split import SplitPlan

_NO_WEIGHTS: Params = {"class_weight": None, "recency_half_life_days": None}
_LINEAR: list[Params] = [
    {
        "inverse_regularization": 0.5,
        "penalty": penalty,
        "numeric_shape": shape,
        "class_weight": class_weight,
        "recency_half_life_days": half_life,
    }
    for penalty in ("l1", "l2")
    for shape, class_weight, half_life in (("as_is", None, None), ("arcsinh", "balanced", 30))
]
_NEIGHBOURS: list[Params] = [
    {"n_neighbors": 5, "weights": weights, "distance": distance, "numeric_shape": "arcsinh"}
    for weights in ("uniform", "distance")
    for distance in ("euclidean", "cosine")
]
_BY_FAMILY: Mapping[str, Sequence[Params]] = {
    "dummy": [{}],
    "seasonal_naive": [{}],
    "auto_ets": [{}],
    "auto_theta": [{}],
    "mfles": [{}],
    "logistic_regression": _LINEAR,
    "ridge": [{"alpha": 0.1, "numeric_shape": "as_is", "recency_half_life_days": None}],
    "elastic_net": [{"alpha": 0.01, "l1_ratio": 0.5, "numeric_shape": "arcsinh", "recency_half_life_days": 60}],
    "knn": _NEIGHBOURS,
    "random_forest": [
        {"n_estimators": 30, "max_depth": 6, "min_samples_leaf": 5, "max_features": 0.8, **_NO_WEIGHTS},
        {"n_estimators": 30, "max_depth": 6, "min_samples_leaf": 5, "max_features": 0.8, **_NO_WEIGHTS}
        | {"class_weight": "balanced", "recency_half_life_days": 60},
    ],
    "extra_trees": [
        {"n_estimators": 30, "max_depth": 6, "min_samples_leaf": 5, "max_features": 0.8, **_NO_WEIGHTS},
    ],
    "gradient_boosting": [
        {
            "max_iter": 30,
            "learning_rate": 0.2,
            "max_leaf_nodes": 4,
            "min_samples_leaf": 10,
            "l2_regularization": 0.1,
            "max_features": 1.0,
            **_NO_WEIGHTS,
        }
    ],
    "lightgbm": [
        {
            "learning_rate": 0.2,
            "num_leaves": 4,
            "min_child_samples": 10,
            "reg_lambda": 0.1,
            "colsample_bytree": 1.0,
            "subsample": 0.9,
            **_NO_WEIGHTS,
        }
    ],
    "xgboost": [
        {
            "learning_rate": 0.2,
            "max_depth": 3,
            "min_child_weight": 1.0,
            "reg_lambda": 0.1,
            "colsample_bytree": 1.0,
            "subsample": 0.9,
            "max_cat_to_onehot": categories,
            "class_weight": class_weight,
            "recency_half_life_days": 240,
        }
        for categories, class_weight in ((1, None), (16, "balanced"))
    ],
    "catboost": [{"learning_rate": 0.2, "depth": 3, "l2_leaf_reg": 1.0, "rsm": 1.0, **_NO_WEIGHTS}],
}
# The others fit on Spark, or need an extra: tests/contract/training/test_families_on_spark.py, tests/unit/networks.
LOCAL = [name for name, family in FAMILIES.items() if family.fits_on == "process" and not family.extras]
POINTS: Sequence[tuple[str, Params]] = [(name, params) for name, points in _BY_FAMILY.items() for params in points]


FITS = dict.fromkeys(("auto_ets", "auto_theta", "mfles"), "amount")


def rows_of(task: str, rows: int = 120) -> TrainingFrame:
    """Rows of the named task; their amount carries the label."""
    frame = alternating(rows)
    if task == "binary":
        return frame
    amount = frame.features["amount"]
    if task == "regression":
        return replace(frame, task=REGRESSION, y=2 * amount + frame.features["known"], classes=())
    if task == "forecast":
        return _forecast(frame)
    thirds = np.searchsorted(np.quantile(amount, [1 / 3, 2 / 3]), amount)
    return replace(frame, task=MULTICLASS, y=thirds, classes=("low", "middle", "high"))


def _forecast(frame: TrainingFrame) -> TrainingFrame:
    """The amount is level and season, `known` is the scale, and every row is of the first step."""
    features = {**frame.features, "known": frame.features["known"] + 1}
    amount, place = features["amount"], features["place_index"]
    y = amount + features["known"] * (amount + 0.1 * place)
    columns = ForecastColumns(level="amount", scale="known", season="amount", step="known_is_missing", fits=FITS)
    x = ENCODER.matrix(features).values
    return replace(frame, task=FORECAST, x=x, features=features, y=y, classes=(), forecast=columns)


def with_predictions(rows: TrainingFrame, *bases: Candidate) -> TrainingFrame:
    """The rows with out-of-fold predictions of these candidates, from which a stack learns."""
    split = SplitPlan(by="group", folds=3)
    attempt = Attempt(list(folds(rows, split, 0)), 0, 0.5)
    return with_out_of_fold(rows, split, 0, [attempt(TrialSpec(1, base)) for base in bases])
