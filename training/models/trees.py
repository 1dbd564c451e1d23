"""Trees of scikit-learn: random forests, extremely randomised trees, and gradient boosting on histograms."""

from typing import TYPE_CHECKING, Any

from training.models.family import CLASS_WEIGHT, RECENCY, TABULAR_TASKS, DataFacts, Family, class_weight
from training.space.space import Float, Int, Params

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

# A forest splits a category index by the order of its integers, so larger indices become target means.
MOST_ORDERED = 8
MOST_CATEGORIES = 254  # bins of a histogram for categories, with the unknown one
ROUNDS = 150
MOST_LEAVES = 2048  # of an extremely randomised tree, which has no limit by its rows: 100 such trees are some 25 MB


def _random_forest(params: Params, seed: int, facts: DataFacts) -> "Pipeline":
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    forest = RandomForestClassifier if facts.task.predicts_classes else RandomForestRegressor
    # twice as fast as on all rows, and no worse on either data set
    return _averaged_trees(forest, params, seed, facts, max_samples=0.5)


def _extra_trees(params: Params, seed: int, facts: DataFacts) -> "Pipeline":
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    trees = ExtraTreesClassifier if facts.task.predicts_classes else ExtraTreesRegressor
    return _averaged_trees(trees, params, seed, facts, max_leaf_nodes=MOST_LEAVES)


def _averaged_trees(kind: Any, params: Params, seed: int, facts: DataFacts, **options: float) -> "Pipeline":
    from sklearn.pipeline import Pipeline

    from training.models.target_encoding import target_encoder

    model = kind(
        n_estimators=params["n_estimators"],
        max_depth=params["max_depth"],
        min_samples_leaf=params["min_samples_leaf"],
        max_features=params["max_features"],
        n_jobs=1,
        random_state=seed,
        **options,
        **class_weight(params, facts),
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

EXTRA_TREES = Family(
    name="extra_trees",
    display_name="extremely randomised trees",
    space={
        "n_estimators": Int(30, 150, log=True),
        "max_depth": Int(3, 32),
        "min_samples_leaf": Int(1, 100, log=True),
        "max_features": Float(0.1, 1),
        "class_weight": CLASS_WEIGHT,
        "recency_half_life_days": RECENCY,
    },
    build=_extra_trees,
    tasks=TABULAR_TASKS,
    matrix_format="dense",
    missing_values="native",
    accepts_weights=True,
    cost=11,
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
    ends_stacks=True,
)
