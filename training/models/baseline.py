"""Families that a search tries by itself: the baseline, stacks and the blend."""

from typing import TYPE_CHECKING

from scoring.tasks import Task
from training.models.family import ALL_TASKS, TABULAR_TASKS, DataFacts, Family
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
    raise NotImplementedError("an ensemble consists of fitted pipelines: training.search.fitting.fit")


def _ensemble(name: str, display_name: str, tasks: frozenset[Task]) -> Family:
    """A family whose candidates consist of those of other families."""
    return Family(
        name=name,
        display_name=display_name,
        space={},
        build=_unfitted,
        tasks=tasks,
        matrix_format="dense",
        missing_values="native",
        accepts_weights=True,
        searched=False,
    )


STACK = _ensemble("stack", "a stack on the best", TABULAR_TASKS)
BLEND = _ensemble("blend", "a blend of the best", ALL_TASKS)
