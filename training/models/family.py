"""The declaration of a model family.

Use cases are checked against these declarations. Learners take seconds to import, so only building a pipeline imports
them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from lakehouse.arrays import MatrixFormat
from scoring.tasks import BINARY, FORECAST, MULTICLASS, REGRESSION, Task
from training.space.space import Choice, Params, Space

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


FitsOn = Literal["process", "spark", "classic_spark"]
MissingValues = Literal["native", "imputed", "refused"]


@dataclass(frozen=True)
class DataFacts:
    """Facts about the data that a pipeline is built for.

    Attributes:
        classes: count of classes; 0 for numbers.
        categories: count of categories of each category index, by its position among the dense columns.
        text_places: positions of the features that are texts, in a row of `Encoder.table`.
        texts: sparse columns of the terms of each text feature: the first, the one after the last, and the fewest
            texts of a term.
        season: of a forecast, the dense column of the seasonal naive forecast.
        fits: of a forecast, the dense column of the forecast by each method that was fitted for each series.
        rows: count of the rows of the fit; None if it is not known.
        history: of a forecast, the dense columns of the history, the oldest value first; None for one that the rows
            lack.
        step: of a forecast, the dense column of the steps from the origin.
    """

    task: Task
    classes: int
    categories: Mapping[int, int]
    texts: Sequence[tuple[int, int, int]] = ()
    text_places: Sequence[int] = ()
    season: int | None = None
    fits: Mapping[str, int] = field(default_factory=dict)
    rows: int | None = None
    history: Sequence[int | None] = ()
    step: int | None = None


@dataclass(frozen=True)
class Family:
    """A model family: its search space, its requirements, and the function that builds a pipeline.

    Attributes:
        name: name in use cases.
        display_name: name within a sentence.
        space: the hyperparameters; `recency_half_life_days` and `numeric_shape` are the project's own. A task without
            classes is searched without `class_weight`.
        build: builds an unfitted pipeline from hyperparameters, a seed and facts about the data. Its last step is
            named `model`.
        tasks: tasks that it can fit.
        matrix_format: `sparse`: each category index as a block of 0/1 columns, and each text as one of terms;
            `dense`: the feature columns that are numbers, with a category index as an integer; `table`: every feature
            column, a text as itself.
        accepts_weights: True if `model` accepts a weight for each row.
        fits_on: where `model` is fitted: in this process, by Spark ML on the session of the tables, or on a classic
            Spark session. On Spark a fit is parallel by itself, so that trials run one after the other.
        stops_early: True if `model` finds its boosting rounds or epochs on validation rows.
        missing_values: how a number that is missing reaches `model`: `native`: as NaN, of which the model learns by
            itself; `imputed`: as the median of the fitted rows, with a mark (`training.models.missing_values`);
            `refused`: such a number cannot be a feature.
        reads_fit: True if its forecast is a feature that was fitted for each series; `forecast.fits` of the use case
            names it.
        reads_history: True if it reads the last values of the series in order, which `forecast.history` names.
        extras: the extras of pyproject.toml that fitting needs; none if the project's own packages suffice.
        optional: further hyperparameters, which a search has only if `search.space` of the use case names them.
        cost: fitting time with default hyperparameters, relative to logistic regression. A search starts with the
            cheapest family.
        reads_features: False if it learns from labels alone.
        searched: True if a use case may search it. A search tries the other families by itself.
        ends_stacks: True if it may read the predictions of other families, as the final estimator of a stack.
    """

    name: str
    display_name: str
    space: Space
    build: "Callable[[Params, int, DataFacts], Pipeline]"
    tasks: frozenset[Task]
    matrix_format: MatrixFormat
    accepts_weights: bool
    cost: float = 0
    searched: bool = True
    ends_stacks: bool = False
    reads_features: bool = True
    stops_early: bool = False
    optional: Space = field(default_factory=dict)
    fits_on: FitsOn = "process"
    missing_values: MissingValues = "imputed"
    reads_fit: bool = False
    reads_history: bool = False
    extras: tuple[str, ...] = ()

    @property
    def capitalised_name(self) -> str:
        """The display name for the start of a sentence; other capitals stay as they are."""
        return self.display_name[:1].upper() + self.display_name[1:]


CLASS_TASKS: frozenset[Task] = frozenset({BINARY, MULTICLASS})
TABULAR_TASKS = CLASS_TASKS | {REGRESSION}
ALL_TASKS = TABULAR_TASKS | {FORECAST}
RECENCY = Choice((None, 30, 60, 120, 240, 480))
CLASS_WEIGHT = Choice((None, "balanced"))
NUMERIC_SHAPE = Choice(("as_is", "arcsinh"))


def scaled(shape: object, facts: DataFacts, model: object, *between: object) -> "Pipeline":
    """A pipeline of scaling, the steps in `between` and the model; scaling keeps sparse input sparse.

    With a text, the scaling also weights its terms by TF-IDF.

    The inverse hyperbolic sine is a logarithm for zero and negative numbers too (an overdrawn balance). It maps zero
    to zero.
    """
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    if facts.texts:
        from scoring.texts.term_weights import TermWeights

        steps: list[tuple[str, object]] = [("terms", TermWeights(facts.texts, str(shape)))]
    else:
        reshape = FunctionTransformer(np.arcsinh, accept_sparse=True) if shape == "arcsinh" else "passthrough"
        steps = [("shape", reshape), ("scale", StandardScaler(with_mean=False))]
    steps += [(type(step).__name__.lower(), step) for step in between]
    return Pipeline([*steps, ("model", model)])


def class_weight(params: Params, facts: DataFacts) -> Params:
    """The `class_weight` option of a learner; empty for a task without classes."""
    return {"class_weight": params["class_weight"]} if facts.task.predicts_classes else {}
