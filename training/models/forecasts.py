"""Families for forecasts alone. Families of numbers forecast too: a row is one step, so they predict it directly.

A model of a single series is fitted when its feature table is built (`training.forecasts.series_fits`). Its family
reads that feature.
"""

from functools import partial
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
