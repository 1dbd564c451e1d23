"""Trees of scikit-learn: random forests, and gradient boosting on histograms."""

from typing import TYPE_CHECKING

from training.models.family import CLASS_WEIGHT, RECENCY, TABULAR_TASKS, DataFacts, Family, class_weight
from training.space.space import Float, Int, Params

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

# A forest splits a category index by the order of its integers, so larger indices become target means.
MOST_ORDERED = 8
MOST_CATEGORIES = 254  # bins of a histogram for categories, with the unknown one
ROUNDS = 150


def _random_forest(params: Params, seed: int, facts: DataFacts) -> "Pipeline":
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.pipeline import Pipeline

    from training.models.target_encoding import target_encoder

    options = class_weight(params, facts)
    forest = RandomForestClassifier if facts.task.predicts_classes else RandomForestRegressor
    model = forest(
        n_estimators=params["n_estimators"],
        max_depth=params["max_depth"],
        min_samples_leaf=params["min_samples_leaf"],
        max_features=params["max_features"],
        max_samples=0.5,  # twice as fast, and no worse on either data set
        n_jobs=1,
        random_state=seed,
        **options,
    )
    return Pipeline([("categories", target_encoder(facts, seed, MOST_ORDERED)[0]), ("model", model)])


def _gradient_boosting(params: Params, seed: int, facts: DataFacts) -> "Pipeline":
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.pipeline import Pipeline

    from training.models.target_encoding import remaining_indices, target_encoder

    options = class_weight(params, facts)
    boosting = HistGradientBoostingClassifier if facts.task.predicts_classes else HistGradientBoostingRegressor
    step, encoded = target_encoder(facts, seed, MOST_CATEGORIES)
    model = boosting(
        max_iter=params["max_iter"],
        learning_rate=params["learning_rate"],
        max_leaf_nodes=params["max_leaf_nodes"],
        min_samples_leaf=params["min_samples_leaf"],
        l2_regularization=params["l2_regularization"],
        max_features=params["max_features"],
        categorical_features=remaining_indices(facts, MOST_CATEGORIES, encoded) or None,
        early_stopping=False,  # scikit-learn's would validate on rows drawn at random from all times
        random_state=seed,
        **options,
    )
    return Pipeline([("categories", step), ("model", model)])


RANDOM_FOREST = Family(
    name="random_forest",
    display_name="random forest",
    space={
        "n_estimators": Int(30, 150, log=True),
        "max_depth": Int(3, 16),
        "min_samples_leaf": Int(5, 300, log=True),
        "max_features": Float(0.1, 0.8),
        "class_weight": CLASS_WEIGHT,
        "recency_half_life_days": RECENCY,
    },
    build=_random_forest,
    tasks=TABULAR_TASKS,
    matrix_format="dense",
    missing_values="native",
    accepts_weights=True,
    cost=12,
)

GRADIENT_BOOSTING = Family(
    name="gradient_boosting",
    display_name="gradient boosting on histograms",
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
    tasks=TABULAR_TASKS,
    matrix_format="dense",
    missing_values="native",
    accepts_weights=True,
    cost=10,
)
