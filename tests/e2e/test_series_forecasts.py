"""The use case `regional_revenue_by_series`: fits of single series in a table, training, gate, server."""

from collections.abc import Iterator

import mlflow
import numpy as np
import pandas as pd
import pytest

from tests.checkout import Checkout
from tests.contract.people import mlflow_restored
from tests.e2e.test_forecasts import ask, table

pytest.importorskip("statsforecast", reason="the extra forecast is not installed: make forecast")
NAME = "regional_revenue_by_series"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Checkout, str]]:
    """A checkout whose endpoint serves exponential smoothing, and the output of the training."""
    checkout = Checkout.below(tmp_path_factory.mktemp("series"))
    case = checkout.root / "training/use_cases/regional_revenue_by_series.yml"
    text = case.read_text(encoding="utf-8").replace("  parallelism: 2\n", "  parallelism: 1\n  blend: 0\n")
    case.write_text(text.replace("minimum: 0.9", "minimum: 2"), encoding="utf-8")
    checkout.run("dbt", "run", "--select", "+tag:series_forecasts", "tag:regional_revenue")
    output = checkout.run("training.run", "--use-case", NAME, "--max-evals", "1", "--families", "auto_ets")
    checkout.run("deployment.run", "promote", "--use-case", NAME)
    checkout.run("training.publish", "--online", "gold.region_revenue_features")
    checkout.run("training.publish", "--online", "gold.region_revenue_fit_features")
    checkout.run("deployment.run", "serve", "--use-case", NAME, "--detach")
    yield checkout, output
    checkout.run("deployment.run", "stop")


def test_endpoint_batch_and_pyfunc_forecast_the_numbers_that_were_fitted(trained: tuple[Checkout, str]) -> None:
    checkout, output = trained
    assert "compiled as linear: max difference 0" in output
    features = table(checkout, "gold.region_revenue_features")
    fits = table(checkout, "gold.region_revenue_fit_features")
    rows = features.merge(fits, on=["region", "day", "as_of"])
    assert len(rows) == len(features) == len(fits)
    rows = rows[rows.as_of == rows.as_of.max()].sort_values(["region", "day"]).head(28)
    keys = rows[["region", "day"]].to_dict("records")
    status, answer = ask(checkout, keys, "regional-revenue-by-series")
    assert status == 200, answer
    by_key = pd.DataFrame(answer["predictions"])
    assert by_key.value.to_numpy() == pytest.approx((rows.level + rows.seasonal_error * rows.auto_ets).to_numpy())
    sent = rows.drop(columns=["region", "day", "as_of"])
    _, by_features = ask(checkout, sent.to_dict("records"), "regional-revenue-by-series")
    assert by_features["predictions"] == answer["predictions"]
    checkout.run("training.score", "--use-case", NAME, "--version", "champion",
                 "--input", "gold.region_revenue_labels", "--output", "scores.series")  # fmt: skip
    with mlflow_restored():
        mlflow.set_tracking_uri(f"sqlite:///{checkout.root}/mlflow.db")
        model = mlflow.pyfunc.load_model(f"models:/{NAME}@champion")
        pd.testing.assert_frame_equal(model.predict(sent.reset_index(drop=True))[list(by_key)], by_key)
        scored = table(checkout, "scores.series").merge(
            features.merge(fits, on=["region", "day", "as_of"]), on=["region", "day", "as_of"]
        )
        again = model.predict(scored[list(sent)])
    for name in by_key:
        np.testing.assert_array_equal(again[name], scored[name])


def test_a_fit_sees_the_days_before_its_origin_and_is_made_once(trained: tuple[Checkout, str]) -> None:
    from training.forecasts.series_fits import fit_series

    checkout, _ = trained
    histories = table(checkout, "staging.region_revenue_histories").set_index(["region", "origin"]).history
    fits = table(checkout, "staging.region_revenue_fits").set_index(["region", "origin"])
    features = table(checkout, "gold.region_revenue_features")
    assert set(map(len, histories)) == {56}
    for key in histories.index[::400]:
        level = features[(features.region == key[0]) & (features.as_of == pd.Timestamp(key[1]))].level.iloc[0]
        assert np.mean(histories[key][-28:]) == pytest.approx(level)
        for method, values in fit_series(str(key), np.asarray(histories[key]), 7, 14).items():
            np.testing.assert_array_equal(values, fits.loc[key, method])
    checkout.run("dbt", "run", "--select", "region_revenue_fits")
    assert len(table(checkout, "staging.region_revenue_fits")) == len(fits) == len(histories)


def test_an_unknown_region_is_refused(trained: tuple[Checkout, str]) -> None:
    status, answer = ask(trained[0], [{"region": "Atlantis", "day": "2025-01-03"}], "regional-revenue-by-series")
    assert status == 400
    assert "Atlantis" in answer["message"]
