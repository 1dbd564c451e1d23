"""Models of single series, fitted in tasks of JVM Spark by the shipped model of the build."""

from datetime import date
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from typing import Any

import numpy as np
import pytest

from benchmarks.harness.jvm_spark import available
from lakehouse.session import new_session
from lakehouse.settings import PROJECT
from training.forecasts.series_fits import METHODS, fit_series

MODEL = PROJECT / "dbt_project/models/staging/series_forecasts/region_revenue_fits.py"
ORIGIN, SERIES = date(2024, 1, 1), 6


class Build:
    """The arguments that dbt gives to the model."""

    is_incremental = False

    def __init__(self, histories: Any) -> None:
        self.histories = histories

    def ref(self, _name: str) -> Any:
        return self.histories


@pytest.mark.jvm
@pytest.mark.skipif(not available(), reason="no java on the PATH")
@pytest.mark.skipif(find_spec("statsforecast") is None, reason="the extra forecast is not installed: make forecast")
def test_series_are_fitted_by_the_workers_of_jvm_spark_to_the_bits_of_a_fit_here(jvm_spark: str) -> None:
    spec = spec_from_file_location("region_revenue_fits", MODEL)
    assert spec is not None and spec.loader is not None
    shipped = module_from_spec(spec)
    spec.loader.exec_module(shipped)
    draw = np.random.default_rng(2)
    histories = {f"region {number}": draw.gamma(2, 50, 56).tolist() for number in range(SERIES)}
    histories["constant"] = [3.0] * 56
    session = new_session(jvm_spark)
    try:
        rows = [(region, ORIGIN, history) for region, history in histories.items()]
        table = session.createDataFrame(rows, "region string, origin date, history array<double>")
        fitted = {row["region"]: row.asDict() for row in shipped.model(Build(table), session).collect()}
    finally:
        session.stop()
    assert set(fitted) == set(histories)
    for region, history in histories.items():
        expected = fit_series(region, np.asarray(history), shipped.SEASON, shipped.HORIZON)
        for method in METHODS:
            assert fitted[region][method] == expected[method].tolist(), (region, method)
