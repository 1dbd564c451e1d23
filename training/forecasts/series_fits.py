"""Statistical models of one series at one origin, fitted when a feature table is built (the extra `forecast`).

A fit sees the history before its origin, and nothing else. Its forecast becomes a feature, so that batch, endpoint
and pyfunc read the same number, without the library.
"""

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import pyarrow as pa

from lakehouse.arrays import Floats
from lakehouse.errors import LakehouseError, first_line

METHODS = ("auto_ets", "auto_theta", "mfles")  # columns of forecasts, and families
LEAST_SEASONS = 2  # of a history that a model is fitted on


class SeriesRefused(LakehouseError):
    """A series has no forecast."""

    @classmethod
    def without_the_extra(cls) -> "SeriesRefused":
        return cls(
            "fits of single series need the extra forecast (statsforecast), which is not installed",
            hint="Install it: make forecast (or pip install 'lakehouse-ml[forecast]').",
        )

    @classmethod
    def values(cls, series: str, missing: int, count: int) -> "SeriesRefused":
        return cls(
            f"{missing} of {count} values of the series {series} are missing or not finite",
            hint="Fill the gaps of a history in the model that makes it: a day without orders has the revenue 0.",
        )

    @classmethod
    def fit(cls, method: str, series: str, reason: object) -> "SeriesRefused":
        return cls(
            f"{method} has no forecast of the series {series}: {reason}",
            hint="Look at its history; the same values fail again.",
        )


def require_library() -> None:
    """Check that the extra is installed.

    Raises:
        SeriesRefused: it is not.
    """
    if find_spec("statsforecast") is None:
        raise SeriesRefused.without_the_extra()


def fit_series(series: str, history: Floats, season: int, horizon: int) -> dict[str, Floats]:
    """(horizon,) the forecast of each method, in the unit of the series.

    A constant history, and one shorter than two seasons, has the seasonal naive forecast by every method: there is
    nothing to fit. One shorter than a season repeats its last value.

    Args:
        series: name of the series and origin, for messages.
        history: (times,) values before the origin, in equal steps, the oldest first.
        season: steps of a season.
        horizon: steps of the forecast; the first is that of the origin.

    Raises:
        SeriesRefused: a value is missing, or a method fails.
    """
    if missing := int(np.sum(~np.isfinite(history))) or (0 if len(history) else 1):
        raise SeriesRefused.values(series, missing, len(history))
    if len(history) < LEAST_SEASONS * season or np.ptp(history) == 0:
        return {method: seasonal_naive(history, season, horizon) for method in METHODS}
    return {name: _forecast(name, make, series, history, horizon) for name, make in _models(season).items()}


def seasonal_naive(history: Floats, season: int, horizon: int) -> Floats:
    """(horizon,) the last season again and again; of a history shorter than a season, its last value."""
    last = history[-season:] if len(history) >= season else history[-1:]
    return np.resize(last, horizon)


def _models(season: int) -> Mapping[str, Callable[[], Any]]:
    from statsforecast.models import MFLES, AutoETS, AutoTheta

    return {
        "auto_ets": lambda: AutoETS(season_length=season),
        "auto_theta": lambda: AutoTheta(season_length=season),
        "mfles": lambda: MFLES(season_length=season),
    }


def _forecast(method: str, make: Callable[[], Any], series: str, history: Floats, horizon: int) -> Floats:
    try:
        # A candidate of the automatic choice may divide by zero; the result is checked.
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = np.asarray(make().forecast(y=history, h=horizon)["mean"], dtype=np.float64)
    except Exception as err:
        raise SeriesRefused.fit(method, series, first_line(err)) from err
    if found.shape != (horizon,) or not np.isfinite(found).all():
        raise SeriesRefused.fit(method, series, "it is not finite")
    return found


def fitted_batches(
    batches: Iterator[pa.RecordBatch], keys: Sequence[str], season: int, horizon: int, driver: int
) -> Iterator[pa.RecordBatch]:
    """Rows of the keys, with an array of the forecast by each method.

    Every row is a task of its own. Where Spark's tasks are threads of this process (the embedded engine), processes
    fit the rows, as threads would take turns.

    Args:
        batches: rows with the keys and `history`, an array of numbers.
        driver: ID of the process that made the plan.
    """
    from joblib import Parallel, delayed

    processes = (os.cpu_count() or 1) if os.getpid() == driver else 1
    for batch in batches:
        parts = zip(*(batch.column(name).to_pylist() for name in keys), strict=True)
        names = [" ".join(map(str, key)) for key in parts]
        histories = [np.asarray(each, dtype=np.float64) for each in batch.column("history").to_pylist()]
        pairs = zip(names, histories, strict=True)
        fits: list[dict[str, Floats]] = Parallel(n_jobs=processes)(
            delayed(fit_series)(name, history, season, horizon) for name, history in pairs
        )
        columns = [pa.array([each[method] for each in fits], pa.list_(pa.float64())) for method in METHODS]
        yield pa.RecordBatch.from_arrays([*(batch.column(name) for name in keys), *columns], names=[*keys, *METHODS])
