"""Linear models."""

from typing import TYPE_CHECKING

from scoring.tasks import FORECAST, REGRESSION
from training.models.family import CLASS_TASKS, CLASS_WEIGHT, NUMERIC_SHAPE, RECENCY, DataFacts, Family, scaled
from training.space.space import Choice, Float, Params

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


def _logistic_regression(params: Params, seed: int, facts: DataFacts) -> "Pipeline":
    from sklearn.linear_model import LogisticRegression

    penalty = str(params["penalty"])
    model = LogisticRegression(
        C=params["inverse_regularization"],
        l1_ratio={"l1": 1.0, "l2": 0.0}[penalty],
        solver="liblinear" if facts.classes == 2 else "saga",  # the faster solver supports two classes only
        class_weight=params["class_weight"],
        max_iter=500,
        tol=_tolerance(penalty, facts.classes),
        random_state=seed,
    )
    return scaled(params["numeric_shape"], facts, model)


def _tolerance(penalty: str, classes: int) -> float:
    """The tolerance at which a fit stops. For l1 it is liblinear's default; 1e-3 is ten times the work, no better."""
    if classes > 2:
        return 1e-3
    return 1e-2 if penalty == "l1" else 1e-4


def _ridge(params: Params, seed: int, facts: DataFacts) -> "Pipeline":
    from sklearn.linear_model import Ridge

    return scaled(params["numeric_shape"], facts, Ridge(params["alpha"], solver="lsqr", random_state=seed))


def _elastic_net(params: Params, seed: int, facts: DataFacts) -> "Pipeline":
    from sklearn.linear_model import ElasticNet

    model = ElasticNet(params["alpha"], l1_ratio=params["l1_ratio"], max_iter=3000, tol=1e-3, random_state=seed)
    return scaled(params["numeric_shape"], facts, model)


LOGISTIC_REGRESSION = Family(
    name="logistic_regression",
    display_name="logistic regression",
    space={
        "inverse_regularization": Float(1e-3, 10, log=True),
        "penalty": Choice(("l1", "l2")),
        "class_weight": CLASS_WEIGHT,
        "numeric_shape": NUMERIC_SHAPE,
        "recency_half_life_days": RECENCY,
    },
    build=_logistic_regression,
    tasks=CLASS_TASKS,
    matrix_format="sparse",
    accepts_weights=True,
    cost=1,
)

RIDGE = Family(
    name="ridge",
    display_name="ridge regression",
    space={
        "alpha": Float(1e-2, 1e4, log=True),
        "numeric_shape": NUMERIC_SHAPE,
        "recency_half_life_days": RECENCY,
    },
    build=_ridge,
    tasks=frozenset({REGRESSION, FORECAST}),
    matrix_format="sparse",
    accepts_weights=True,
    cost=1,
)

ELASTIC_NET = Family(
    name="elastic_net",
    display_name="elastic net",
    space={
        "alpha": Float(1e-3, 10, log=True),
        "l1_ratio": Float(0.1, 1),
        "numeric_shape": NUMERIC_SHAPE,
        "recency_half_life_days": RECENCY,
    },
    build=_elastic_net,
    tasks=frozenset({REGRESSION, FORECAST}),
    matrix_format="sparse",
    accepts_weights=True,
    cost=2,
)
