"""The k-NN family."""

from typing import TYPE_CHECKING

from scoring.estimators.neighbour_weights import inverse_distance
from training.models.family import NUMERIC_SHAPE, TABULAR_TASKS, DataFacts, Family, scaled
from training.space.space import Choice, Int, Params

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


def _knn(params: Params, _seed: int, facts: DataFacts) -> "Pipeline":
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
    from sklearn.preprocessing import Normalizer

    from scoring.estimators.dense_if_small import DenseIfSmall

    neighbours = KNeighborsClassifier if facts.task.predicts_classes else KNeighborsRegressor
    wanted = int(str(params["n_neighbors"]))
    model = neighbours(
        n_neighbors=wanted if facts.rows is None else min(wanted, facts.rows),
        weights=inverse_distance if params["weights"] == "distance" else params["weights"],
        metric="euclidean",
        algorithm="brute",  # trees are slower above about 15 columns, and refuse sparse rows
    )
    # For rows of length one, Euclidean distance gives the order of cosine distance and is 15 times as fast.
    unit_length = [Normalizer()] if params["distance"] == "cosine" else []
    # Dense rows of terms would be almost all zeros.
    dense = [] if facts.texts else [DenseIfSmall()]
    return scaled(params["numeric_shape"], facts, model, *unit_length, *dense)


KNN = Family(
    name="knn",
    display_name="k nearest neighbours",
    space={
        "n_neighbors": Int(5, 500, log=True),
        "weights": Choice(("uniform", "distance")),
        "distance": Choice(("euclidean", "cosine")),
        "numeric_shape": NUMERIC_SHAPE,
    },
    build=_knn,
    tasks=TABULAR_TASKS,
    matrix_format="sparse",
    accepts_weights=False,
    cost=12,
)
