"""Families for forecasts alone. Families of numbers forecast too: a row is one step, so they predict it directly."""

from typing import TYPE_CHECKING

from scoring.tasks import FORECAST
from training.models.family import DataFacts, Family
from training.space.space import Params

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


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
