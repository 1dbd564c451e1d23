"""Trees of scikit-learn: random forests, and gradient boosting on histograms."""

from typing import TYPE_CHECKING

from training.models.family import ALL_TASKS, CLASS_WEIGHT, RECENCY, DataFacts, Family
from training.space.space import Float, Int, Params

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

# Of more categories than this the order of their integers would be all that a tree of a forest could cut.
ORDERED = 8
MOST_CATEGORIES = 254  # that a histogram has bins for, unknown included
ROUNDS = 150


def _random_forest(params: Params, seed: int, given: DataFacts) -> "Pipeline":
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.pipeline import Pipeline

    from training.models.target_encoding import by_target

    options = {"class_weight": params["class_weight"]} if given.task != "regression" else {}
    forest = RandomForestRegressor if given.task == "regression" else RandomForestClassifier
    model = forest(
        n_estimators=params["n_estimators"],
        max_depth=params["max_depth"],
        min_samples_leaf=params["min_samples_leaf"],
        max_features=params["max_features"],
        max_samples=0.5,  # twice as fast, and no worse on either sample
        n_jobs=1,
        random_state=seed,
        **options,
    )
    return Pipeline([("categories", by_target(given, seed, ORDERED)[0]), ("model", model)])


def _gradient_boosting(params: Params, seed: int, given: DataFacts) -> "Pipeline":
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.pipeline import Pipeline

    from training.models.target_encoding import by_target, kept_places

    options = {"class_weight": params["class_weight"]} if given.task != "regression" else {}
    boosting = HistGradientBoostingRegressor if given.task == "regression" else HistGradientBoostingClassifier
    step, first = by_target(given, seed, MOST_CATEGORIES)
    model = boosting(
        max_iter=params["max_iter"],
        learning_rate=params["learning_rate"],
        max_leaf_nodes=params["max_leaf_nodes"],
        min_samples_leaf=params["min_samples_leaf"],
        l2_regularization=params["l2_regularization"],
        max_features=params["max_features"],
        categorical_features=kept_places(given, MOST_CATEGORIES, first) or None,
        early_stopping=False,  # scikit-learn's own would judge by rows drawn at random from all times
        random_state=seed,
        **options,
    )
    return Pipeline([("categories", step), ("model", model)])


RANDOM_FOREST = Family(
    name="random_forest",
    title="random forest",
    space={
        "n_estimators": Int(30, 150, log=True),
        "max_depth": Int(3, 16),
        "min_samples_leaf": Int(5, 300, log=True),
        "max_features": Float(0.1, 0.8),
        "class_weight": CLASS_WEIGHT,
        "recency_half_life_days": RECENCY,
    },
    build=_random_forest,
    tasks=ALL_TASKS,
    takes="dense",
    takes_weights=True,
    cost=12,
)

GRADIENT_BOOSTING = Family(
    name="gradient_boosting",
    title="gradient boosting on histograms",
    space={
        "max_iter": Int(10, ROUNDS, log=True),
        "learning_rate": Float(0.02, 0.3, log=True),
        "max_leaf_nodes": Int(3, 63, log=True),
        "min_samples_leaf": Int(20, 1000, log=True),
        "l2_regularization": Float(0.1, 100, log=True),
        "max_features": Float(0.3, 1),
        "class_weight": CLASS_WEIGHT,
        "recency_half_life_days": RECENCY,
    },
    build=_gradient_boosting,
    tasks=ALL_TASKS,
    takes="dense",
    takes_weights=True,
    cost=10,
)
