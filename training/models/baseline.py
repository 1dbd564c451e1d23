"""What guessing reaches: the bar that every leaderboard shows."""

from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.pipeline import Pipeline

from training.models.family import ALL_TASKS, Family, Given
from training.search.space import Params


def _dummy(_params: Params, seed: int, given: Given) -> Pipeline:
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
