"""The use case `water_flow`, whose steps are hours of a real series with gaps: tables, training and bounds."""

from collections.abc import Iterator
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest

from tests.checkout import Checkout
from tests.contract.people import mlflow_restored
from tests.e2e.test_forecasts import table
from tests.e2e.test_lifecycle import set_search

DAY, WEEK = 24, 168


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A checkout with the tables of the use case."""
    made = Checkout.below(tmp_path_factory.mktemp("hours"))
    made.type_line("dbt build --select tag:water_flow")
    yield made
    made.run("deployment.run", "stop")


@pytest.fixture(scope="module")
def flow(checkout: Checkout) -> "pd.Series[float]":
    """The measured flow by the start of its hour in UTC, read from the landing file; gaps are missing."""
    landed = pd.read_csv(checkout.root / "dbt_project/landing/water_flow/water_flow.csv")
    hours = pd.DatetimeIndex(pd.to_datetime(landed["Time"], utc=True)).tz_localize(None)
    measured = pd.Series(landed["Water flow [l/s]"].to_numpy(), hours)
    return measured.reindex(pd.date_range(hours.min(), hours.max(), freq="h"))


def test_features_are_those_of_the_hours_before_each_origin(checkout: Checkout, flow: "pd.Series[float]") -> None:
    features, filled = table(checkout, "gold.water_flow_features"), flow.ffill()
    past = table(checkout, "gold.water_flow_history_features").set_index(["hour", "as_of"])
    recent = [f"hours_ago_{hours}" for hours in range(2 * DAY, 0, -1)]
    assert flow.isna().sum() == 111
    assert len(past) == len(features)
    for row in features.sample(60, random_state=0).to_dict("records"):
        hour, origin = pd.Timestamp(row["hour"]).tz_localize(None), row["as_of"]
        known = filled[filled.index < origin].to_numpy()
        level, error = known[-DAY:].mean(), np.abs(known[-WEEK:] - known[-WEEK - DAY : -DAY]).mean()
        same = [filled[hour - pd.Timedelta(hours=back)] for back in (DAY, 2 * DAY, WEEK)]
        expected = [*same, known[-1], known[-WEEK:].mean()]
        names = ["same_hour_1d", "same_hour_2d", "same_hour_1w", "last_hour", "mean_1w"]
        assert (row["level"], row["daily_error"]) == pytest.approx((level, error))
        assert [row[name] for name in names] == pytest.approx([(each - level) / error for each in expected])
        history = past.loc[(row["hour"], row["as_of"]), recent].to_numpy(dtype=float)
        assert history == pytest.approx((known[-2 * DAY :] - level) / error)
        local = hour.tz_localize("UTC").tz_convert("Europe/Rome")
        assert (row["hour_of_day"], row["weekday"]) == (local.hour, local.dayofweek + 1)
        assert row["hours_ahead"] == (hour - origin) / pd.Timedelta(hours=1)


def test_an_origin_needs_a_week_of_which_three_quarters_were_measured(
    checkout: Checkout, flow: "pd.Series[float]"
) -> None:
    features = table(checkout, "gold.water_flow_features")
    assert set(features.groupby("as_of").hours_ahead.nunique()) == {DAY}
    origins = pd.date_range(flow.index[0], flow.index[-1] + pd.Timedelta(hours=1), freq="h")
    measured = flow.notna().rolling(WEEK).sum().shift(1).reindex(origins)
    due = [each for each in origins[WEEK + DAY :] if each.hour % 6 == 0 and measured[each] >= 126]
    assert sorted(features.as_of.unique()) == due
    assert 0 < len(due) < len([each for each in origins[WEEK + DAY :] if each.hour % 6 == 0])


def test_an_hour_that_was_not_measured_has_no_label(checkout: Checkout, flow: "pd.Series[float]") -> None:
    labels = table(checkout, "gold.water_flow_labels")
    hours = pd.DatetimeIndex(pd.to_datetime(labels.hour)).tz_localize(None)
    np.testing.assert_array_equal(labels.flow, flow[hours])
    keys = table(checkout, "gold.water_flow_features")[["hour", "as_of"]]
    asked = pd.DatetimeIndex(pd.to_datetime(keys.hour)).tz_localize(None)
    assert len(labels) == int(flow.reindex(asked).notna().sum()) < len(keys)
    assert (labels.measured_at == hours + pd.Timedelta(hours=1)).all()


def test_a_version_forecasts_each_hour_with_bounds_of_its_own(checkout: Checkout) -> None:
    set_search(checkout, "water_flow", max_evals=2, parallelism=1, families="[seasonal_naive, ridge]")
    output = checkout.type_line("python -m training.run --use-case water_flow")
    assert "max difference 0 on" in output
    features = table(checkout, "gold.water_flow_features")
    newest = features[features.as_of == features.as_of.max()].sort_values("hours_ahead")
    with mlflow_restored():
        mlflow.set_tracking_uri(f"sqlite:///{checkout.root}/mlflow.db")
        model: Any = mlflow.pyfunc.load_model("models:/water_flow/1")
        forecasts = model.predict(newest.drop(columns=["pipe", "hour", "as_of"]).reset_index(drop=True))
    assert len(forecasts) == DAY
    np.testing.assert_array_equal(forecasts.scale, newest.daily_error)
    widths = ((forecasts.upper - forecasts.lower) / forecasts.scale).round(9)
    assert widths.nunique() > DAY / 2
    assert (widths > 0).all()
    assert "Version 1 is the champion" in checkout.type_line("python -m deployment.run promote --use-case water_flow")
    checkout.type_line("python -m training.publish --online gold.water_flow_features")
    served = checkout.type_line("python -m deployment.run serve --use-case water_flow --detach")
    assert "serves version 1 (100 %)" in served
