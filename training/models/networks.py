"""Families of neural networks; their learners are in `training.networks`, and need an extra."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from training.models.family import CLASS_WEIGHT, RECENCY, TABULAR_TASKS, DataFacts, Family
from training.space.space import Choice, Float, Params, Space

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from training.networks.learner import NetworkLearner

EPOCHS = 32  # upper limit of the passes over the rows
SHARED: Space = {"class_weight": CLASS_WEIGHT, "recency_half_life_days": RECENCY}


def _mlp(params: Params, seed: int, facts: DataFacts) -> "Pipeline":
    from training.networks.torch_learners import MlpLearner

    return _pipeline(MlpLearner, mlp_shape(params), params, seed, facts)


def _ft_transformer(params: Params, seed: int, facts: DataFacts) -> "Pipeline":
    from training.networks.torch_learners import FtTransformerLearner

    shape = {"heads": 4, **{name: params[name] for name in ("blocks", "width", "dropout")}}
    return _pipeline(FtTransformerLearner, shape, params, seed, facts)


def _keras_mlp(params: Params, seed: int, facts: DataFacts) -> "Pipeline":
    from training.networks.keras_learner import KerasMlpLearner

    return _pipeline(
        KerasMlpLearner, {name: params[name] for name in ("layers", "width", "dropout")}, params, seed, facts
    )


def _pipeline(
    learner: "type[NetworkLearner]", shape: Mapping[str, Any], params: Params, seed: int, facts: DataFacts
) -> "Pipeline":
    from sklearn.pipeline import Pipeline

    return Pipeline([("model", network_of(learner, shape, params, seed, facts))])


def mlp_shape(params: Params) -> Mapping[str, Any]:
    """Options of the network of `mlp`."""
    return {"layers": 3, **{name: params[name] for name in ("width", "dropout", "frequency")}}


def network_of(  # noqa: PLR0913  (a learner has so many parts)
    learner: "type[NetworkLearner]",
    shape: Mapping[str, Any],
    params: Params,
    seed: int,
    facts: DataFacts,
    *,
    batch: int = 256,
) -> "NetworkLearner":
    """The unfitted learner of a network, with `batch` rows of a step."""
    from training.networks.options import FitOptions

    rate, decay = float(str(params["learning_rate"])), float(str(params["weight_decay"]))
    options = FitOptions(rate, decay, int(str(params.get("max_epochs") or EPOCHS)), batch=batch, seed=seed)
    balanced = facts.task.predicts_classes and bool(params["class_weight"])
    return learner(facts.task.name, shape, options, facts.categories, balanced=balanced)


LIMIT: Space = {"max_epochs": Choice((8, 16, 32, 64, 128))}  # the limit as a dimension

MLP = Family(
    name="mlp",
    display_name="a multilayer perceptron",
    space={
        "learning_rate": Float(0.01, 0.1, log=True),
        "width": Choice((128, 64, 256)),
        "dropout": Choice((0.15, 0.0, 0.3)),
        "frequency": Float(0.05, 0.5, log=True),
        "weight_decay": Float(1e-3, 1e-1, log=True),
        **SHARED,
    },
    build=_mlp,
    tasks=TABULAR_TASKS,
    matrix_format="dense",
    missing_values="native",
    accepts_weights=True,
    cost=70,
    stops_early=True,
    optional=LIMIT,
    extras=("torch",),
)

FT_TRANSFORMER = Family(
    name="ft_transformer",
    display_name="a transformer over the inputs",
    space={
        "learning_rate": Float(3e-4, 3e-3, log=True),
        "blocks": Choice((2, 1, 3)),
        "width": Choice((32, 64)),
        "dropout": Choice((0.1, 0.0, 0.2)),
        "weight_decay": Float(1e-5, 1e-1, log=True),
        **SHARED,
    },
    build=_ft_transformer,
    tasks=TABULAR_TASKS,
    matrix_format="dense",
    missing_values="native",
    accepts_weights=True,
    cost=400,
    stops_early=True,
    optional=LIMIT,
    extras=("torch",),
)

KERAS_MLP = Family(
    name="keras_mlp",
    display_name="a multilayer perceptron in Keras",
    space={
        "learning_rate": Float(3e-4, 1e-2, log=True),
        "layers": Choice((2, 1, 3)),
        "width": Choice((128, 64, 256)),
        "dropout": Choice((0.1, 0.0, 0.3)),
        "weight_decay": Float(1e-4, 1e-1, log=True),
        **SHARED,
    },
    build=_keras_mlp,
    tasks=TABULAR_TASKS,
    matrix_format="dense",
    missing_values="native",
    accepts_weights=True,
    cost=80,
    stops_early=True,
    optional=LIMIT,
    extras=("tensorflow",),
)
