"""Nearest neighbours."""

from typing import TYPE_CHECKING

from scoring.estimators.neighbour_weights import by_distance
from training.models.family import ALL_TASKS, NUMERIC_SHAPE, DataFacts, Family, scaled
from training.space.space import Choice, Int, Params

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


def _knn(params: Params, _seed: int, given: DataFacts) -> "Pipeline":
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
    from sklearn.preprocessing import Normalizer

    from scoring.estimators.dense_where_small import DenseWhereSmall

    neighbours = KNeighborsRegressor if given.task == "regression" else KNeighborsClassifier
    model = neighbours(
        n_neighbors=params["n_neighbors"],
        weights=by_distance if params["weights"] == "distance" else params["weights"],
        metric="euclidean",
        algorithm="brute",  # trees do not pay above some 15 columns, and take no sparse rows
    )
    # Between rows of length one, Euclidean distance orders as cosine distance does, and is 15 times as fast.
    unit_length = [Normalizer()] if params["distance"] == "cosine" else []
    return scaled(params["numeric_shape"], model, *unit_length, DenseWhereSmall())


KNN = Family(
    name="knn",
    title="k nearest neighbours",
    space={
        "n_neighbors": Int(5, 500, log=True),
        "weights": Choice(("uniform", "distance")),
        "distance": Choice(("euclidean", "cosine")),
        "numeric_shape": NUMERIC_SHAPE,
    },
    build=_knn,
    tasks=ALL_TASKS,
    takes="sparse",
    takes_weights=False,
    cost=12,
)
