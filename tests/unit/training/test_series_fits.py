"""Statistical models of single series: rules of odd histories, and fits where the extra `forecast` is installed."""

import os
from importlib.util import find_spec
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from training.forecasts import series_fits
from training.forecasts.series_fits import METHODS, SeriesRefused, fit_series, fitted_batches, require_library
from training.use_case.use_case import UseCase, load

needs_library = pytest.mark.skipif(find_spec("statsforecast") is None, reason="extra not installed: make forecast")
SEASON = 7
WEEK = np.asarray([5.0, 9, 4, 8, 2, 7, 1])


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        (np.full(56, 3.0), [3.0] * 4),
        (np.zeros(56), [0.0] * 4),
        (WEEK, [5, 9, 4, 8]),
        (np.arange(13.0), [6, 7, 8, 9]),
        (np.asarray([2.0, 6.0]), [6.0] * 4),
    ],
    ids=["constant", "zero", "one season", "less than two seasons", "less than a season"],
)
def test_a_history_with_nothing_to_fit_has_the_seasonal_naive_forecast(history: Any, expected: list[float]) -> None:
    found = fit_series("Bayern", history, SEASON, 4)
    assert {method: values.tolist() for method, values in found.items()} == dict.fromkeys(METHODS, expected)


@pytest.mark.parametrize(("history", "missing"), [([1.0, np.nan, np.inf], "2 of 3"), ([], "1 of 0")])
def test_a_history_with_gaps_is_refused_with_its_series(history: list[float], missing: str) -> None:
    with pytest.raises(SeriesRefused, match=f"{missing} values of the series Bayern 2024-01-01 are missing"):
        fit_series("Bayern 2024-01-01", np.asarray(history), SEASON, 4)


def test_without_the_extra_a_build_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_fits, "find_spec", lambda _name: None)
    with pytest.raises(SeriesRefused, match="need the extra forecast") as refused:
        require_library()
    assert "make forecast" in str(refused.value.hint)


@pytest.mark.parametrize("result", [np.asarray([1.0, np.nan]), np.asarray([1.0]), ZeroDivisionError("by zero")])
def test_a_fit_without_a_finite_forecast_is_refused_with_method_and_series(
    monkeypatch: pytest.MonkeyPatch, result: Any
) -> None:
    class Model:
        def forecast(self, **_options: Any) -> dict[str, Any]:
            if isinstance(result, Exception):
                raise result
            return {"mean": result}

    monkeypatch.setattr(series_fits, "_models", lambda _season: {"mfles": Model})
    with pytest.raises(
        SeriesRefused, match=r"mfles has no forecast of the series Bayern: (it is not finite|by zero)"
    ):
        fit_series("Bayern", np.arange(56.0), SEASON, 2)


@needs_library
def test_each_method_finds_the_season_of_a_series_and_fits_the_same_twice() -> None:
    draw = np.random.default_rng(0)
    history = np.tile(100 + 10 * WEEK, 8) + draw.normal(0, 3, 56)
    found = fit_series("Bayern", history, SEASON, 14)
    for method, values in found.items():
        assert np.abs(values - np.tile(100 + 10 * WEEK, 2)).mean() < 10, method
        np.testing.assert_array_equal(values, fit_series("Bayern", history, SEASON, 14)[method])


@needs_library
def test_processes_of_the_embedded_engine_and_workers_of_a_cluster_fit_the_same() -> None:
    draw = np.random.default_rng(1)
    histories = [draw.gamma(2, 50, 56).tolist() for _ in range(3)]
    batch = pa.RecordBatch.from_pydict({"region": ["a", "b", "c"], "day": [1, 2, 3], "history": histories})
    arguments = (("region", "day"), SEASON, 14)
    (here,) = fitted_batches(iter([batch]), *arguments, os.getpid())
    (there,) = fitted_batches(iter([batch]), *arguments, -1)
    assert here.schema.names == ["region", "day", *METHODS]
    assert here == there
    expected = fit_series("b 2", np.asarray(histories[1]), SEASON, 14)
    assert here.column("mfles")[1].as_py() == expected["mfles"].tolist()


@pytest.mark.parametrize(
    ("fits", "message"),
    [
        ({}, r"search.families has auto_ets, whose forecast is a feature: name it in forecast\.fits\.auto_ets"),
        ({"auto_est": "auto_ets"}, r"forecast\.fits names auto_est, .* Did you mean 'auto_ets'"),
    ],
)
def test_a_family_of_single_series_needs_the_feature_with_its_fits(fits: dict[str, str], message: str) -> None:
    declared = load("regional_revenue_by_series").model_dump(exclude_unset=True)
    with pytest.raises(ValueError, match=message):
        UseCase.model_validate(declared | {"forecast": declared["forecast"] | {"fits": fits}})
