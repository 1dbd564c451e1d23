"""Families that every search tries by itself: the baseline and the blend."""

from typing import TYPE_CHECKING

from training.models.family import ALL_TASKS, DataFacts, Family
from training.space.space import Params

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


def _dummy(_params: Params, seed: int, facts: DataFacts) -> "Pipeline":
    from sklearn.dummy import DummyClassifier, DummyRegressor
    from sklearn.pipeline import Pipeline

    classifier = DummyClassifier(strategy="prior", random_state=seed)
    return Pipeline([("model", classifier if facts.task.predicts_classes else DummyRegressor())])


DUMMY = Family(
    name="dummy",
    display_name="the labels' mean",
    reads_features=False,
    space={},
    build=_dummy,
    tasks=ALL_TASKS,
    matrix_format="sparse",
    missing_values="native",
    accepts_weights=True,
    searched=False,
)


def _unfitted(_params: Params, _seed: int, _facts: DataFacts) -> "Pipeline":
    raise NotImplementedError("a blend consists of fitted pipelines: training.search.fitting.fit")


BLEND = Family(
    name="blend",
    display_name="a blend of the best",
    space={},
    build=_unfitted,
    tasks=ALL_TASKS,
    matrix_format="dense",
    missing_values="native",
    accepts_weights=True,
    searched=False,
)
