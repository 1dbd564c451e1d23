"""Families of transformers over texts; their learners are in `training.networks`, and need two extras."""

from typing import TYPE_CHECKING

from training.models.family import TABULAR_TASKS, DataFacts, Family
from training.models.networks import SHARED, network_of
from training.space.space import Choice, Float, Params

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

HEADS = 4
BATCH = 64  # rows of a step
EXTRAS = ("torch", "text")


def _text_transformer(params: Params, seed: int, facts: DataFacts) -> "Pipeline":
    from scoring.texts.token_rows import TokenRows
    from training.networks.texts.learners import TextTransformerLearner

    names = ("tokens", "vocabulary", "width", "blocks", "dropout")
    shape = {**{name: params[name] for name in names}, "heads": HEADS}
    rows = TokenRows(facts.text_places, _whole(params["tokens"]), _whole(params["vocabulary"]))
    return _pipeline(rows, network_of(TextTransformerLearner, shape, params, seed, facts, batch=BATCH))


def _fine_tuned(params: Params, seed: int, facts: DataFacts) -> "Pipeline":
    from scoring.texts.token_rows import TokenRows
    from training.networks.texts.learners import FineTunedLearner
    from training.networks.texts.pretrained import Pretrained

    pretrained = Pretrained.read(str(params["checkpoint"]))
    tokens = min(_whole(params["tokens"]), pretrained.shape.positions)
    shape = {"checkpoint": params["checkpoint"], "digest": pretrained.digest, "tokens": tokens}
    shape["dropout"] = params["dropout"]
    rows = TokenRows(facts.text_places, tokens, 0, pretrained.tokenizer)
    return _pipeline(rows, network_of(FineTunedLearner, shape, params, seed, facts, batch=BATCH))


def _pipeline(rows: object, learner: object) -> "Pipeline":
    from sklearn.pipeline import Pipeline

    return Pipeline([("tokens", rows), ("model", learner)])


def _whole(value: object) -> int:
    return int(str(value))


TEXT_TRANSFORMER = Family(
    name="text_transformer",
    display_name="a transformer over the words of a text",
    space={
        "learning_rate": Float(3e-4, 3e-3, log=True),
        "blocks": Choice((2, 1)),
        "width": Choice((64, 128)),
        "tokens": Choice((128, 64, 256)),
        "vocabulary": Choice((8_000, 4_000, 16_000)),
        "dropout": Choice((0.1, 0.0, 0.3)),
        "weight_decay": Float(1e-4, 1e-1, log=True),
        "max_epochs": Choice((8, 4, 16)),
        **SHARED,
    },
    build=_text_transformer,
    tasks=TABULAR_TASKS,
    matrix_format="table",
    missing_values="refused",
    accepts_weights=True,
    cost=2_000,
    stops_early=True,
    extras=EXTRAS,
)

FINE_TUNED_TRANSFORMER = Family(
    name="fine_tuned_transformer",
    display_name="a pretrained transformer, trained further",
    space={
        "checkpoint": Choice(("minilm_l6",), is_open=True),
        "learning_rate": Float(3e-4, 3e-3, log=True),
        "tokens": Choice((128, 64, 256)),
        "dropout": Choice((0.1, 0.0)),
        "weight_decay": Float(1e-4, 1e-1, log=True),
        "max_epochs": Choice((3, 2, 5)),
        **SHARED,
    },
    build=_fine_tuned,
    tasks=TABULAR_TASKS,
    matrix_format="table",
    missing_values="refused",
    accepts_weights=True,
    cost=20_000,
    stops_early=True,
    extras=EXTRAS,
)
