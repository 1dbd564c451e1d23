"""What a model family declares about itself."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from training.search.space import Choice, Params, Space


@dataclass(frozen=True)
class Family:
    """A model family: its search space, and how a pipeline is built from one point of it.

    Attributes:
        name: as use cases spell it.
        title: as a sentence spells it.
        space: the hyperparameters; `recency_half_life_days` and `numeric_shape` are the project's own.
        build: an unfitted pipeline whose last step is called `model`, from hyperparameters and a seed.
        takes_weights: whether `model` accepts a weight for each row.
    """

    name: str
    title: str
    space: Space
    build: Callable[[Params, int], Pipeline]
    takes_weights: bool

    def fit(
        self, params: Params, seed: int, x: object, y: npt.NDArray[np.int64], ages: npt.NDArray[np.float64]
    ) -> Pipeline:
        """A fitted pipeline; `ages` says how many days each row lies before the newest."""
        weights = recency_weights(ages, params.get("recency_half_life_days"))
        options = {"model__sample_weight": weights} if self.takes_weights else {}
        return self.build(params, seed).fit(x, y, **options)


RECENCY = Choice((None, 30, 60, 120, 240, 480))
NUMERIC_SHAPE = Choice(("as_is", "arcsinh"))


def scaled(shape: object, model: object, *between: object) -> Pipeline:
    """A pipeline of scaling, the steps in `between` and the model; scaling keeps sparse input sparse.

    The inverse hyperbolic sine is a logarithm that takes zero and negative numbers (an overdrawn balance), and
    leaves zeros zero.
    """
    reshape = FunctionTransformer(np.arcsinh, accept_sparse=True) if shape == "arcsinh" else "passthrough"
    steps = [("shape", reshape), ("scale", StandardScaler(with_mean=False))]
    steps += [(type(step).__name__.lower(), step) for step in between]
    return Pipeline([*steps, ("model", model)])


def recency_weights(ages: npt.NDArray[np.float64], half_life_days: object) -> npt.NDArray[np.float64]:
    """A weight for each row that halves with every half-life of its age; 1 for all without one.

    >>> recency_weights(np.array([0.0, 30.0, 60.0]), 30).tolist()
    [1.0, 0.5, 0.25]
    """
    if half_life_days is None:
        return np.ones_like(ages)
    return np.asarray(np.exp2(-ages / float(str(half_life_days))), dtype=np.float64)
