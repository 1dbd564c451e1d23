"""Families that no use case searches, and every search tries: what guessing reaches, and a blend of the best."""

from typing import TYPE_CHECKING

from training.models.family import ALL_TASKS, DataFacts, Family
from training.space.space import Params

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


def _dummy(_params: Params, seed: int, given: DataFacts) -> "Pipeline":
    from sklearn.dummy import DummyClassifier, DummyRegressor
    from sklearn.pipeline import Pipeline

    prior = DummyClassifier(strategy="prior", random_state=seed)
    return Pipeline([("model", DummyRegressor() if given.task == "regression" else prior)])


DUMMY = Family(
    name="dummy",
    title="the labels' mean",
    space={},
    build=_dummy,
    tasks=ALL_TASKS,
    takes="sparse",
    takes_weights=True,
    searched=False,
)


def _unfitted(_params: Params, _seed: int, _given: DataFacts) -> "Pipeline":
    raise NotImplementedError("a blend is made of fitted pipelines: training.search.fitting.fit")


BLEND = Family(
    name="blend",
    title="a blend of the best",
    space={},
    build=_unfitted,
    tasks=ALL_TASKS,
    takes="dense",
    takes_weights=True,
    searched=False,
)
