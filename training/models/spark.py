"""Families that fit in parallel on Spark: learners of Spark ML, and XGBoost on a classic session."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from scoring.tasks import BINARY, REGRESSION
from training.models.boosted import NOT_OPTIONS, XGBOOST, XGBOOST_ROUNDS
from training.models.family import CLASS_TASKS, CLASS_WEIGHT, RECENCY, TABULAR_TASKS, DataFacts, Family
from training.models.networks import LIMIT, MLP
from training.models.trees import MOST_ORDERED
from training.space.space import Choice, Float, Int, Params

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from training.spark_ml.learners import TreesLearner


def _logistic_regression(params: Params, _seed: int, facts: DataFacts) -> "Pipeline":
    from sklearn.pipeline import Pipeline

    from training.spark_ml.learners import LogisticRegressionLearner

    options = {
        "regParam": params["regularization"],
        "elasticNetParam": params["l1_ratio"],
        "family": "binomial" if facts.classes == 2 else "multinomial",
        "maxIter": 100,
    }
    return Pipeline([("model", LogisticRegressionLearner(facts.task.name, options))])


def _random_forest(params: Params, seed: int, facts: DataFacts) -> "Pipeline":
    from training.spark_ml.learners import RandomForestLearner

    options = {
        "numTrees": params["trees"],
        "subsamplingRate": 0.5,  # as of the family random_forest
    }
    return _trees(RandomForestLearner, options, params, seed, facts)


def _gradient_boosting(params: Params, seed: int, facts: DataFacts) -> "Pipeline":
    from training.spark_ml.learners import GradientBoostingLearner

    options = {
        "maxIter": params["trees"],
        "stepSize": params["learning_rate"],
        "subsamplingRate": params["row_share"],
    }
    return _trees(GradientBoostingLearner, options, params, seed, facts)


def _trees(
    learner: "type[TreesLearner]", options: Mapping[str, object], params: Params, seed: int, facts: DataFacts
) -> "Pipeline":
    """The pipeline of an ensemble: its own options of Spark, and those that all ensembles share."""
    from sklearn.pipeline import Pipeline

    from training.models.target_encoding import target_encoder

    shared = {
        "maxDepth": params["max_depth"],
        "minInstancesPerNode": params["min_rows_per_leaf"],
        "featureSubsetStrategy": str(float(str(params["feature_share"]))),
        "seed": seed,
    }
    step = target_encoder(facts, seed, MOST_ORDERED)[0]
    return Pipeline([("categories", step), ("model", learner(facts.task.name, {**options, **shared}))])


def _xgboost(params: Params, seed: int, facts: DataFacts) -> "Pipeline":
    from sklearn.pipeline import Pipeline

    from training.spark_ml.xgboost import SparkXgBoostLearner

    options = {name: value for name, value in params.items() if name not in NOT_OPTIONS}
    learner = SparkXgBoostLearner(facts.task.name, XGBOOST_ROUNDS, options, tuple(facts.categories), seed)
    return Pipeline([("model", learner)])


def _mlp(params: Params, seed: int, facts: DataFacts) -> "Pipeline":
    from sklearn.pipeline import Pipeline

    from training.models.networks import mlp_shape, network_of
    from training.networks.torch_learners import MlpLearner
    from training.spark_ml.network import SparkNetworkLearner

    learner = network_of(MlpLearner, mlp_shape(params), params, seed, facts)
    return Pipeline([("model", SparkNetworkLearner(learner, int(str(params["processes"]))))])


SPARK_LOGISTIC_REGRESSION = Family(
    name="spark_logistic_regression",
    display_name="logistic regression on Spark",
    space={
        "regularization": Float(1e-5, 1, log=True),
        "l1_ratio": Float(0, 1),
        "class_weight": CLASS_WEIGHT,
        "recency_half_life_days": RECENCY,
    },
    build=_logistic_regression,
    tasks=CLASS_TASKS,
    matrix_format="sparse",
    missing_values="refused",
    accepts_weights=True,
    cost=20,
    fits_on="spark",
)

SPARK_RANDOM_FOREST = Family(
    name="spark_random_forest",
    display_name="random forest on Spark",
    space={
        "trees": Int(20, 100, log=True),
        "max_depth": Int(3, 12),
        "min_rows_per_leaf": Int(5, 300, log=True),
        "feature_share": Float(0.1, 0.8),
        "class_weight": CLASS_WEIGHT,
        "recency_half_life_days": RECENCY,
    },
    build=_random_forest,
    tasks=TABULAR_TASKS,
    matrix_format="dense",
    missing_values="refused",
    accepts_weights=True,
    cost=30,
    fits_on="spark",
)

SPARK_GRADIENT_BOOSTING = Family(
    name="spark_gradient_boosting",
    display_name="gradient boosting on Spark",
    space={
        "trees": Int(10, 60, log=True),
        "learning_rate": Float(0.05, 0.3, log=True),
        "max_depth": Int(2, 6),
        "min_rows_per_leaf": Int(20, 1000, log=True),
        "feature_share": Float(0.3, 1),
        "row_share": Float(0.5, 1),
        "class_weight": CLASS_WEIGHT,
        "recency_half_life_days": RECENCY,
    },
    build=_gradient_boosting,
    tasks=frozenset({BINARY, REGRESSION}),
    matrix_format="dense",
    missing_values="refused",
    accepts_weights=True,
    cost=60,
    fits_on="spark",
)

SPARK_XGBOOST = Family(
    name="spark_xgboost",
    display_name="XGBoost on Spark",
    space=XGBOOST.space,
    build=_xgboost,
    tasks=TABULAR_TASKS,
    matrix_format="dense",
    missing_values="refused",
    accepts_weights=True,
    cost=40,
    stops_early=True,
    fits_on="classic_spark",
)

SPARK_MLP = Family(
    name="spark_mlp",
    display_name="a multilayer perceptron on Spark",
    space={**MLP.space, "processes": Choice((2,))},
    build=_mlp,
    tasks=TABULAR_TASKS,
    matrix_format="dense",
    missing_values="refused",
    accepts_weights=True,
    cost=200,
    stops_early=True,
    optional=LIMIT,
    fits_on="spark",
    extras=("torch",),
)
