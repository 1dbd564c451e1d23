"""What a model family declares about itself.

A use case is checked by what families declare. The learners, which take seconds to be imported, come with the first
pipeline that is built.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scoring.encoder import MatrixFormat
from training.evaluation.metrics import Task
from training.space.space import Choice, Params, Space

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True)
class DataFacts:
    """What a family knows of the data before it is fitted.

    Attributes:
        classes: how many labels there are; 0 of a regression.
        categories: of each feature that is an index, by its place among the dense columns, how many categories.
    """

    task: Task
    classes: int
    categories: Mapping[int, int]


@dataclass(frozen=True)
class Family:
    """A model family: its search space, what it can take, and how a pipeline is built from one point of the space.

    Attributes:
        name: as use cases spell it.
        title: as a sentence spells it.
        space: the hyperparameters; `recency_half_life_days` and `numeric_shape` are the project's own. A
            regression is searched without `class_weight`.
        build: an unfitted pipeline whose last step is called `model`, from hyperparameters, a seed and the data.
        tasks: what it can predict.
        takes: `sparse`: each index as a block of 0/1 columns; `dense`: the feature columns, an index as its integer.
        takes_weights: whether `model` accepts a weight for each row.
        cost: how long its default takes, where logistic regression takes 1; a search begins with the cheap ones.
        searched: whether a use case may search it; the others are tried of themselves.
    """

    name: str
    title: str
    space: Space
    build: "Callable[[Params, int, DataFacts], Pipeline]"
    tasks: frozenset[Task]
    takes: MatrixFormat
    takes_weights: bool
    cost: float = 0
    searched: bool = True

    @property
    def heading(self) -> str:
        """The title as a sentence begins with it: names keep the capitals that they have."""
        return self.title[:1].upper() + self.title[1:]


ALL_TASKS: frozenset[Task] = frozenset({"binary", "multiclass", "regression"})
RECENCY = Choice((None, 30, 60, 120, 240, 480))
CLASS_WEIGHT = Choice((None, "balanced"))
NUMERIC_SHAPE = Choice(("as_is", "arcsinh"))


def scaled(shape: object, model: object, *between: object) -> "Pipeline":
    """A pipeline of scaling, the steps in `between` and the model; scaling keeps sparse input sparse.

    The inverse hyperbolic sine is a logarithm that takes zero and negative numbers (an overdrawn balance), and
    leaves zeros zero.
    """
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    reshape = FunctionTransformer(np.arcsinh, accept_sparse=True) if shape == "arcsinh" else "passthrough"
    steps = [("shape", reshape), ("scale", StandardScaler(with_mean=False))]
    steps += [(type(step).__name__.lower(), step) for step in between]
    return Pipeline([*steps, ("model", model)])
