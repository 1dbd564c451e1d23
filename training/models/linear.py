"""Linear models."""

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from training.models.family import NUMERIC_SHAPE, RECENCY, Family, Given, scaled
from training.search.space import Choice, Float, Params


def _logistic_regression(params: Params, seed: int, given: Given) -> Pipeline:
    model = LogisticRegression(
        C=params["inverse_regularization"],
        l1_ratio={"l1": 1.0, "l2": 0.0}[str(params["penalty"])],
        solver="liblinear" if given.classes == 2 else "saga",  # the faster one takes two classes alone
        max_iter=500,
        random_state=seed,
    )
    return scaled(params["numeric_shape"], model)


LOGISTIC_REGRESSION = Family(
    name="logistic_regression",
    title="logistic regression",
    space={
        "inverse_regularization": Float(1e-3, 10, log=True),
        "penalty": Choice(("l1", "l2")),
        "numeric_shape": NUMERIC_SHAPE,
        "recency_half_life_days": RECENCY,
    },
    build=_logistic_regression,
    tasks=frozenset({"binary", "multiclass"}),
    takes="sparse",
    takes_weights=True,
)
