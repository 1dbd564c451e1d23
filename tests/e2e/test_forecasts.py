"""The use case `regional_revenue` on the shipped sample: tables, training, gate, server, and forecasts by key."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner
from databricks.sdk.service.serving import AiGatewayInferenceTableConfig
from deltalake import DeltaTable, write_deltalake

from deployment.commands import use_cases
from deployment.endpoints import endpoint_client
from deployment.run import main
from lakehouse.settings import Settings
from lakehouse.tables.warehouse import TableName, Warehouse
from tests.checkout import Checkout
from tests.contract.people import mlflow_restored
from tests.docs.typed_commands import type_line
from training.use_case.use_case import UseCase, load

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
    past = table(checkout, "gold.region_revenue_history_features").set_index(["region", "day", "as_of"])
    recent = [f"days_ago_{days}" for days in range(28, 0, -1)]
    assert len(past) == len(features)
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
        history = past.loc[(row["region"], row["day"], row["as_of"]), recent].to_numpy(dtype=float)
        assert history == pytest.approx((revenue[-28:] - level) / error)
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


def ask(checkout: Checkout, records: list[dict[str, Any]], endpoint: str = "regional-revenue") -> tuple[int, Any]:
    address = checkout.variables["MODEL_SERVER"].removeprefix("http://")
    token = (checkout.root / ".serving/token").read_text(encoding="ascii").strip()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with closing(HTTPConnection(address, timeout=60)) as connection:
        body = json.dumps({"dataframe_records": records})
        connection.request("POST", f"/serving-endpoints/{endpoint}/invocations", body, headers)
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


START, DAY = datetime(2026, 11, 1, tzinfo=UTC), timedelta(days=1)
REVENUES = pa.schema(
    [
        ("region", pa.string()),
        ("day", pa.string()),
        ("revenue", pa.float64()),
        ("settled_at", pa.timestamp("us", "UTC")),
    ]
)


@pytest.fixture(scope="module")
def logged(trained: tuple[Checkout, str]) -> tuple[Checkout, pd.DataFrame]:
    """A log of two days: each with a request for every region and day, one of them again; and its forecasts."""
    checkout, _ = trained
    token = (checkout.root / ".serving/token").read_text(encoding="ascii").strip()
    sdk = endpoint_client.connect(checkout.variables["MODEL_SERVER"], token)
    table_config = AiGatewayInferenceTableConfig("main", True, "logs", "revenue")
    sdk.serving_endpoints.put_ai_gateway("regional-revenue", inference_table_config=table_config)
    features = table(checkout, "gold.region_revenue_features")
    keys = features[features.as_of == features.as_of.max()][["region", "day", "days_ahead"]]
    records = keys[["region", "day"]].to_dict("records")
    status, answer = ask(checkout, records)
    assert [ask(checkout, each)[0] for each in (records, records[:HORIZON])] == [status, status] == [200, 200]
    log = checkout.root / "warehouse/logs/revenue_payload"
    deadline = time.monotonic() + 120
    while not [*log.glob("_delta_log/*.json")] or len(rows := DeltaTable(log).to_pyarrow_table()) < 3:
        assert time.monotonic() < deadline, "the request log has no rows"
        time.sleep(0.2)
    times = [START + DAY * day + timedelta(hours=hour) for day, hour in ((0, 1), (1, 1), (1, 2))]
    pairs = zip(rows.sort_by("request_time").to_pylist(), times, strict=True)
    moved = [row | {"request_time": at, "request_date": at.date()} for row, at in pairs]
    write_deltalake(checkout.root / "warehouse/logs/revenue_days", pa.Table.from_pylist(moved, rows.schema))
    return checkout, keys.reset_index(drop=True).join(pd.DataFrame(answer["predictions"]))


def settle(checkout: Checkout, forecasts: pd.DataFrame, scales: float, at: datetime) -> None:
    """Append revenues that are some scales above their forecasts; two origins have a row of each."""
    revenues = forecasts[["region", "day"]].assign(
        revenue=forecasts.value + scales * forecasts.scale, settled_at=pd.Timestamp(at)
    )
    twice = pa.Table.from_pandas(pd.concat([revenues, revenues]), REVENUES, preserve_index=False)
    write_deltalake(checkout.root / "warehouse/gold/revenue_outcomes", twice, mode="append")


def monitored(checkout: Checkout, monkeypatch: pytest.MonkeyPatch, until: datetime) -> tuple[int, dict[str, Any]]:
    """Run `monitor` as of a time; its exit code and what it found."""
    declared = load("regional_revenue").model_dump(exclude_unset=True)
    labels = declared["monitoring"]["labels"] | {"table": "gold.revenue_outcomes"}
    changes = {"window": "1d", "min_rows": 100, "labels": labels}
    case = UseCase.model_validate(declared | {"monitoring": declared["monitoring"] | changes})
    uri = f"sqlite:///{checkout.root}/mlflow.db"
    settings = Settings(checkout.root, checkout.root / "warehouse", None, uri, uri, "")
    monkeypatch.setattr(use_cases, "load", lambda _name, _folder: case)
    monkeypatch.setattr(Settings, "from_environment", classmethod(lambda _cls: settings))
    period = ("--since", START.isoformat(), "--until", until.isoformat(), "--table", "logs.revenue_days", "--json")
    with mlflow_restored():
        result = CliRunner().invoke(main, ["monitor", "--use-case", "regional_revenue", *period])
    assert isinstance(result.exception, SystemExit | None), result.exception
    found, _ = json.JSONDecoder().raw_decode(result.stdout[result.stdout.index("{\n") :])
    return result.exit_code, found


def measures(checkout: Checkout, kind: str) -> list[tuple[int, float, float]]:
    """Rows, value and reference of a comparison in each window that it tested."""
    rows = DeltaTable(checkout.root / "warehouse/monitoring/findings").to_pandas()
    rows = rows[rows.kind == kind].sort_values("window_start")
    return list(rows[["rows", "value", "expected"]].itertuples(index=False, name=None))


def test_forecasts_are_compared_with_revenues_as_they_settle(
    logged: tuple[Checkout, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout, forecasts = logged
    first = forecasts.days_ahead < 7
    regions = forecasts.region.nunique()
    settle(checkout, forecasts[first], 0.25, START + 10 * DAY)
    code, found = monitored(checkout, monkeypatch, START + 11 * DAY)
    assert (code, found["action"]) == (0, "nothing")
    assert found["labels"] == dict.fromkeys(found["labels"], 0) | {"counted": 2 * 7 * regions}
    (rows, error, reference), (rows_of_day_two, error_of_day_two, _) = measures(checkout, "performance")
    assert rows == rows_of_day_two == 7 * regions, "a repeated request counts once"
    assert [error, error_of_day_two] == pytest.approx([0.25, 0.25])
    assert 0.7 < reference < 1.1, "MASE of the holdout"
    (rows, covered, on_holdout), _ = measures(checkout, "coverage")
    assert (rows, covered) == (7 * regions, 1.0)
    assert 0.7 < on_holdout < 0.85

    settle(checkout, forecasts[~first], 8.0, START + 20 * DAY)
    code, early = monitored(checkout, monkeypatch, START + 11 * DAY)
    assert (code, early["labels"]["counted"]) == (0, 2 * 7 * regions)
    assert early["labels"]["not_yet_known"] == 2 * 7 * regions, "of both origins"
    code, found = monitored(checkout, monkeypatch, START + 21 * DAY)
    assert (code, found["action"], found["labels"]["counted"]) == (5, "retrain", 2 * HORIZON * regions)
    confirmed = {(each["kind"], each["subject"]) for each in found["findings"] if each["confirmed"]}
    assert confirmed - {("prediction_drift", "value")} == {("performance", "mase"), ("coverage", "bounds")}
    sentences = [each["sentence"] for each in found["findings"]]
    assert (
        f"labels within the bounds: 50.0% of {HORIZON * regions} labels, {on_holdout:.1%} on the holdout" in sentences
    )
    assert [each[1] for each in measures(checkout, "performance")] == pytest.approx([4.125, 4.125])
    assert [each[1] for each in measures(checkout, "coverage")] == [0.5, 0.5]
    days = f"{START.isoformat()} --until {(START + 21 * DAY).isoformat()} --table logs.revenue_days"
    line = "python -m deployment.run monitor --use-case regional_revenue --since 90d"
    assert "Recommended action: retrain" in type_line(line, {"90d": days}, exits=5)
    page = Path(found["report"]).read_text(encoding="utf-8")
    assert "Labels within the bounds by window" in page
