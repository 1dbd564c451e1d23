"""The use case `regional_revenue` on the shipped sample: tables, training, gate, server, and forecasts by key."""

import json
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lakehouse.tables.warehouse import TableName, Warehouse
from tests.checkout import Checkout

HISTORY, HORIZON = 56, 14
HISTORICAL = ["same_weekday_1w", "same_weekday_2w", "same_weekday_mean", "mean_7d", "mean_56d"]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A checkout with the tables of the use case."""
    made = Checkout.below(tmp_path_factory.mktemp("forecasts"))
    made.run("dbt", "run", "--select", "+tag:regional_revenue")
    made.run("dbt", "test", "--select", "tag:regional_revenue")
    yield made


def table(checkout: Checkout, name: str) -> pd.DataFrame:
    rows = Warehouse(checkout.root / "warehouse").open(TableName.parse(name)).to_pandas()
    times = rows.select_dtypes("datetimetz").columns
    return rows.assign(**{time: rows[time].dt.tz_localize(None) for time in times})


def test_features_are_those_of_the_orders_known_at_each_origin(checkout: Checkout) -> None:
    orders, features = table(checkout, "staging.region_orders"), table(checkout, "gold.region_revenue_features")
    orders["day"] = pd.to_datetime(orders["day"])
    late = orders[orders.known_at > orders.day + pd.Timedelta(days=7)]
    assert len(late) > 100
    for row in features.sample(100, random_state=0).to_dict("records"):
        days = pd.date_range(row["as_of"] - pd.Timedelta(days=HISTORY), periods=HISTORY)
        known = orders[(orders.region == row["region"]) & (orders.known_at < row["as_of"])]
        revenue = (known.groupby("day").amount_cents.sum().reindex(days, fill_value=0) / 100).to_numpy()
        level, error = revenue[-28:].mean(), max(1.0, np.abs(revenue[-28:] - revenue[-35:-7]).mean())
        ahead = (pd.Timestamp(row["day"]) - row["as_of"]).days
        same = revenue.reshape(-1, 7)[:, ahead % 7]
        expected = [same[-1], same[-2], same.mean(), revenue[-7:].mean(), revenue.mean()]
        assert (row["level"], row["seasonal_error"]) == pytest.approx((level, error))
        assert [row[name] for name in HISTORICAL] == pytest.approx([(each - level) / error for each in expected])
        assert (row["days_ahead"], row["weekday"]) == (ahead, pd.Timestamp(row["day"]).dayofweek + 1)


def test_every_region_has_each_day_of_each_horizon(checkout: Checkout) -> None:
    features = table(checkout, "gold.region_revenue_features")
    assert features.region.nunique() == 17
    assert set(features.groupby(["region", "as_of"]).day.nunique()) == {HORIZON}
    assert set(features.as_of.dt.dayofweek) == {0}
    for _, origins in features.groupby("region").as_of:
        assert origins.nunique() == (origins.max() - origins.min()).days / 7 + 1


def test_labels_of_the_states_add_up_to_the_country(checkout: Checkout) -> None:
    labels = table(checkout, "gold.region_revenue_labels").set_index(["day", "as_of"])
    country = labels.region == "Deutschland"
    states = labels[~country].groupby(level=["day", "as_of"]).revenue.agg(["sum", "size"])
    complete = states[states["size"] == 16]  # a small state has its first orders later
    assert len(complete) > 1_000
    assert complete["sum"].to_numpy() == pytest.approx(labels[country].revenue.loc[complete.index].to_numpy())


def test_holidays_are_those_of_the_region(checkout: Checkout) -> None:
    features = table(checkout, "gold.region_revenue_features").set_index(["region", "day"])
    shares = features.holiday_share.groupby(level=[0, 1]).first()
    assert shares["Bayern", "2024-11-01"] == shares["Berlin", "2024-03-08"] == 1
    assert shares["Deutschland", "2024-10-03"] == 1
    assert shares["Berlin", "2024-11-01"] == shares["Bayern", "2024-03-08"] == 0
    assert 0.4 < shares["Deutschland", "2024-11-01"] < 0.7
    before = features.holiday_share_next_day.groupby(level=[0, 1]).first()
    assert before["Bayern", "2024-10-31"] == 1


def test_a_plain_build_leaves_the_regional_revenue_out(checkout: Checkout) -> None:
    assert "region" not in checkout.run("dbt", "--quiet", "ls", "--resource-type", "model")


@pytest.fixture(scope="module")
def trained(checkout: Checkout) -> Iterator[tuple[Checkout, str]]:
    """The checkout with a server of a promoted version, and the output of its training."""
    case = ("--use-case", "regional_revenue")
    output = checkout.run("training.run", *case, "--max-evals", "4", "--parallelism", "1")
    checkout.run("deployment.run", "promote", *case)
    checkout.run("training.publish", "--online", "gold.region_revenue_features")
    checkout.run("deployment.run", "serve", *case, "--detach")
    yield checkout, output
    checkout.run("deployment.run", "stop")


def ask(checkout: Checkout, records: list[dict[str, Any]]) -> tuple[int, Any]:
    address = checkout.variables["MODEL_SERVER"].removeprefix("http://")
    token = (checkout.root / ".serving/token").read_text(encoding="ascii").strip()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with closing(HTTPConnection(address, timeout=60)) as connection:
        body = json.dumps({"dataframe_records": records})
        connection.request("POST", "/serving-endpoints/regional-revenue/invocations", body, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def test_a_forecast_beats_the_seasonal_naive_one_and_is_compiled(trained: tuple[Checkout, str]) -> None:
    _, output = trained
    assert "max difference 0 on" in output
    table_of_trials = output.partition("rank ")[2].partition("> Refitting")[0].splitlines()[1:]
    losses = {family: float(loss) for _, _, family, loss, *_ in map(str.split, table_of_trials)}
    assert losses["seasonal_naive"] == max(losses.values()) > 1
    assert min(losses.values()) < 0.87
    assert "section" not in output


def test_the_endpoint_answers_the_horizon_of_a_region(trained: tuple[Checkout, str]) -> None:
    checkout, _ = trained
    features = table(checkout, "gold.region_revenue_features")
    newest = features[features.as_of == features.as_of.max()].sort_values("day")
    horizon = newest[newest.region == "Bayern"]
    records = [{"region": "Bayern", "day": day} for day in horizon.day]
    status, answer = ask(checkout, records)
    assert status == 200
    forecasts = pd.DataFrame(answer["predictions"])
    assert len(forecasts) == HORIZON
    assert (forecasts.lower < forecasts.value).all()
    assert (forecasts.value < forecasts.upper).all()
    sent = horizon.drop(columns=["region", "day", "as_of"]).to_dict("records")
    assert ask(checkout, sent)[1]["predictions"] == answer["predictions"], "by key and by features"
    assert [ask(checkout, [record])[1]["predictions"][0] for record in records[:3]] == answer["predictions"][:3]


@pytest.mark.parametrize(
    ("record", "named"),
    [
        ({"region": "Atlantis", "day": "2025-01-03"}, "Atlantis"),
        ({"region": "Bayern", "day": "2025-03-01"}, "2025-03-01"),
        ({"region": "Bayern", "day": "soon"}, "soon"),
        ({"region": "Bayern"}, "day"),
        ({"region": "Bayern", "day": None}, "day"),
    ],
    ids=["unknown region", "beyond the horizon", "no day", "day missing", "day null"],
)
def test_a_forecast_of_no_known_row_is_refused(
    trained: tuple[Checkout, str], record: dict[str, Any], named: str
) -> None:
    status, answer = ask(trained[0], [record])
    assert status == 400
    assert named in answer["message"]


def test_bounds_hold_on_the_holdout_as_often_as_they_say(trained: tuple[Checkout, str]) -> None:
    checkout, _ = trained
    checkout.run("training.score", "--use-case", "regional_revenue", "--version", "champion",
                 "--input", "gold.region_revenue_labels", "--output", "scores.revenue")  # fmt: skip
    scores = table(checkout, "scores.revenue")
    labels = table(checkout, "gold.region_revenue_labels")
    held_out = labels[labels.as_of >= np.sort(labels.as_of)[int(0.8 * len(labels))]]
    both = held_out.merge(scores, on=["region", "day", "as_of"], suffixes=("", "_scored"))
    assert len(both) == len(held_out)
    inside = (both.lower <= both.revenue) & (both.revenue <= both.upper)
    assert 0.74 < inside.mean() < 0.86
    assert 0.65 < inside[both.region == "Deutschland"].mean() < 0.95
