"""Families for forecasts alone. Families of numbers forecast too: a row is one step, so they predict it directly.

A model of a single series is fitted when its feature table is built (`training.forecasts.series_fits`). Its family
reads that feature. Networks learn from all series, and read the history of the row's own in order.
"""

from functools import partial
from typing import TYPE_CHECKING

from scoring.tasks import FORECAST
from training.models.family import RECENCY, DataFacts, Family
from training.models.networks import LIMIT, network_of
from training.space.space import Choice, Float, Params

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from training.networks.history.learners import HistoryLearner

HEADS = 4


def _seasonal_naive(_params: Params, _seed: int, facts: DataFacts) -> "Pipeline":
    from sklearn.pipeline import Pipeline

    from scoring.forecasts.seasonal_naive import SeasonalNaive

    return Pipeline([("model", SeasonalNaive(facts.season))])


SEASONAL_NAIVE = Family(
    name="seasonal_naive",
    display_name="the seasonal naive forecast",
    space={},
    build=_seasonal_naive,
    tasks=frozenset({FORECAST}),
    matrix_format="dense",
    accepts_weights=False,
    cost=0.1,
)


def _fitted(method: str, _params: Params, _seed: int, facts: DataFacts) -> "Pipeline":
    from sklearn.pipeline import Pipeline

    from scoring.forecasts.column_forecast import ColumnForecast

    return Pipeline([("model", ColumnForecast(facts.fits.get(method)))])


def _of_each_series(method: str, display_name: str) -> Family:
    return Family(
        name=method,
        display_name=display_name,
        space={},
        build=partial(_fitted, method),
        tasks=frozenset({FORECAST}),
        matrix_format="dense",
        accepts_weights=False,
        cost=0.1,
        reads_fit=True,
    )


AUTO_ETS = _of_each_series("auto_ets", "exponential smoothing of each series")
AUTO_THETA = _of_each_series("auto_theta", "the theta method for each series")
MFLES = _of_each_series("mfles", "MFLES, boosted trends and seasons of each series")


def _nhits(params: Params, seed: int, facts: DataFacts) -> "Pipeline":
    from training.networks.history.learners import NhitsLearner

    return _of_history(NhitsLearner, ("rate", "width", "dropout"), params, seed, facts)


def _patch_transformer(params: Params, seed: int, facts: DataFacts) -> "Pipeline":
    from training.networks.history.learners import PatchTransformerLearner

    options = ("patch", "blocks", "width", "dropout")
    return _of_history(PatchTransformerLearner, options, params, seed, facts, heads=HEADS)


def _of_history(
    learner: "type[HistoryLearner]",
    options: tuple[str, ...],
    params: Params,
    seed: int,
    facts: DataFacts,
    **fixed: int,
) -> "Pipeline":
    from sklearn.pipeline import Pipeline

    if facts.step is None or not facts.history or None in facts.history:
        raise ValueError("a feature of the history or of the step is left out, or has one value in all rows")
    shape = {"history": tuple(facts.history), "step": facts.step, **{name: params[name] for name in options}, **fixed}
    return Pipeline([("model", network_of(learner, shape, params, seed, facts))])


NHITS = Family(
    name="nhits",
    display_name="NHITS, a network over the history at several rates",
    space={
        "learning_rate": Float(3e-4, 1e-2, log=True),
        "rate": Choice((4, 8, 2)),
        "width": Choice((128, 64, 256)),
        "dropout": Choice((0.1, 0.0, 0.3)),
        "weight_decay": Float(1e-4, 1e-1, log=True),
        "recency_half_life_days": RECENCY,
    },
    build=_nhits,
    tasks=frozenset({FORECAST}),
    matrix_format="dense",
    missing_values="native",
    accepts_weights=True,
    cost=80,
    stops_early=True,
    reads_history=True,
    optional=LIMIT,
    extras=("torch",),
)

PATCH_TRANSFORMER = Family(
    name="patch_transformer",
    display_name="a transformer over patches of the history",
    space={
        "learning_rate": Float(3e-4, 3e-3, log=True),
        "patch": Choice((7, 4, 12)),
        "blocks": Choice((2, 1, 3)),
        "width": Choice((32, 64)),
        "dropout": Choice((0.1, 0.0, 0.2)),
        "weight_decay": Float(1e-5, 1e-1, log=True),
        "recency_half_life_days": RECENCY,
    },
    build=_patch_transformer,
    tasks=frozenset({FORECAST}),
    matrix_format="dense",
    missing_values="native",
    accepts_weights=True,
    cost=300,
    stops_early=True,
    reads_history=True,
    optional=LIMIT,
    extras=("torch",),
)
