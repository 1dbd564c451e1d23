"""`monitor` on versions of every task, a blend and hooks among them, that one real server answered for over HTTP."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from databricks.sdk import WorkspaceClient
from databricks.sdk.service.serving import (
    AiGatewayInferenceTableConfig,
    EndpointCoreConfigInput,
    ServedEntityInput,
)
from deltalake import DeltaTable, write_deltalake
from mlflow.tracking import MlflowClient

from deployment.commands import use_cases
from deployment.endpoints import endpoint_client
from deployment.model_server.http.auth import read_token
from deployment.model_server.process import server_process
from deployment.model_server.settings import ServerSettings
from deployment.run import main
from lakehouse.settings import PROJECT, Settings
from scoring.estimators.blend import Blend
from scoring.scorer import Scorer
from tests.contract.databases import new_database
from tests.contract.monitoring.live import DAY, LABEL_TABLE, START
from tests.contract.people import PARAMS, ROWS, USE_CASE, Environment, mlflow_restored, write_tables
from tests.ports import free_port
from training.frame import splits
from training.frame.build import load_frame
from training.frame.provenance import provenance
from training.population.build import population_of
from training.registry.registration import register_version
from training.registry.versions import CHAMPION
from training.search.fitting import fit
from training.search.result import SearchResult
from training.search.trial import Trial
from training.space.joint_space import Candidate
from training.tracking import experiment_id, tracking
from training.use_case.use_case import UseCase

REQUESTS = 120  # of a day
SIZES = ["small", "medium", "tall"]
UNITS = f"{__package__}.app_units"
Record = dict[str, Any]


def use_case(name: str, task: str, label: str, metric: str, **more: Any) -> UseCase:
    labels = {"table": f"gold.{name}_outcomes", "column": "label", "request_id": "request", "known_at": "known"}
    return UseCase.model_validate(
        USE_CASE.model_dump()
        | {
            "name": name,
            "task": task,
            "labels": {"table": "gold.sizes", "entity": "person", "timestamp": "at", "column": label}
            | more.pop("labels", {}),
            "search": {"families": ["ridge" if task == "regression" else "logistic_regression"], "metric": metric},
            "promotion": {"metric": metric, "minimum": 9 if metric == "mae" else 0.1, "margin": 0.02},
            "serving": {"endpoint": name} | more.pop("serving", {}),
            "monitoring": {"min_rows": 100, "labels": labels},
        }
        | more
    )


CASES = {
    each.name: each
    for each in (
        use_case("size", "regression", "size", "r2"),
        use_case("kind", "multiclass", "kind", "log_loss", labels={"classes": SIZES}),
        use_case(
            "label",
            "binary",
            "label",
            "roc_auc",
            serving={
                "fields": ["label", "probability"],
                "preprocess": f"{UNITS}:to_metres",
                "postprocess": f"{UNITS}:to_percentage",
            },
            golden_request={"height": 100.0, "noise": 0.0},
        ),
    )
}


@dataclass(frozen=True)
class Live:
    """A project whose server has logged two days of every use case."""

    place: Environment

    def monitor(self, name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[int, Record]:
        settings = self.place.settings
        monkeypatch.setattr(use_cases, "load", lambda _name, _folder: CASES[name])
        monkeypatch.setattr(Settings, "from_environment", classmethod(lambda _cls: settings))
        period = ("--since", START.isoformat(), "--until", (START + 3 * DAY).isoformat())
        with mlflow_restored():
            result = CliRunner().invoke(
                main, ["monitor", "--use-case", name, *period, "--table", f"logs.{name}_days", "--json"]
            )
        assert isinstance(result.exception, SystemExit | None), result.exception
        found, _ = json.JSONDecoder().raw_decode(result.stdout[result.stdout.index("{\n") :])
        return result.exit_code, found


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Live:
    root = tmp_path_factory.mktemp("kinds")
    new_database(root)
    place = Environment(root / "warehouse", root / "mlflow.db")
    write_tables(place.warehouse)
    write_sizes(place.warehouse)
    with mlflow_restored(), tracking(place.settings) as client:
        for case in CASES.values():
            train(case, place, client)
    server = ServerSettings(
        PROJECT, root / ".serving", place.settings.tracking_uri, port=free_port(), warehouse=place.warehouse
    )
    server_process.serve_detached(server)
    try:
        sdk = endpoint_client.connect(server.url, read_token(server.token_file))
        answers = {name: ask(sdk, name) for name in CASES}
    finally:
        server_process.stop(server)  # the log is complete once it has ended
    for name, asked in answers.items():
        spread_over_days(place.warehouse, name, asked)
    return Live(place)


def write_sizes(warehouse: Path) -> None:
    """Labels of each kind, which follow the height of a person."""
    people = DeltaTable(warehouse / "gold/labels").to_pyarrow_table().sort_by("person")
    height = np.asarray(DeltaTable(warehouse / "gold/bodies").to_pyarrow_table().sort_by("person")["height"])
    size = height + np.random.default_rng(7).normal(0, 0.2, ROWS)
    sizes = people.append_column("size", pa.array(size)).append_column("kind", pa.array(kinds(size)))
    write_deltalake(warehouse / "gold/sizes", sizes)


def kinds(size: Any) -> list[str]:
    return [SIZES[at] for at in np.digitize(size, [0.1, 0.9])]


def train(case: UseCase, place: Environment, client: MlflowClient) -> None:
    """Register a champion; that of numbers is a blend."""
    split = splits.split(load_frame(case, place.store()), case.split)
    frame = split.training
    if case.name == "size":
        ridge = Candidate("ridge", {"alpha": 1.0, "numeric_shape": "as_is", "recency_half_life_days": None})
        members = [fit(ridge, frame, seed) for seed in range(2)]
        blend = Blend("regression", members, ["sparse", "sparse"], [0.5, 0.5], {})
        scorer = Scorer(blend, frame.encoder, case.response_format, case.hooks(), matrix_format="dense")
    else:
        pipeline = fit(Candidate("logistic_regression", PARAMS), frame, 0)
        scorer = Scorer(pipeline, frame.encoder, case.response_format, case.hooks())
    trial = Trial(1, Candidate("logistic_regression", PARAMS), {case.search.metric: 0.0}, ({},), timedelta(0))
    predicted = scorer.predict(split.holdout.features)
    population = population_of(scorer, split, predicted, case.monitoring, case.golden_request)
    with mlflow.start_run(experiment_id=experiment_id(client, place.settings, case.name)):
        register_version(
            client, case, scorer, SearchResult((trial,), "complete"), provenance(split, case.split, None), {},
            population=population,
        )  # fmt: skip
    client.set_registered_model_alias(case.name, CHAMPION, "1")


def ask(sdk: WorkspaceClient, name: str) -> list[Record]:
    """Create the endpoint with its log, and send one record a request: a quiet day, then a drifted one."""
    entity = ServedEntityInput(
        entity_name=name, entity_version="1", name=f"{name}-1", workload_size="Small", scale_to_zero_enabled=False
    )
    sdk.serving_endpoints.create_and_wait(name, config=EndpointCoreConfigInput(name=name, served_entities=[entity]))
    table = AiGatewayInferenceTableConfig("main", True, "logs", name)
    sdk.serving_endpoints.put_ai_gateway(name, inference_table_config=table)
    draw = np.random.default_rng(5)
    asked = []
    for number in range(2 * REQUESTS):
        day, label = divmod(number, REQUESTS)[0], int(draw.integers(0, 2))
        height = float(label + draw.normal(0, 0.7) + day)
        sent = height * 100 if name == "label" else height
        body = {
            "client_request_id": f"{day}-{number}",
            "dataframe_records": [{"height": sent, "noise": float(draw.normal())}],
        }
        sdk.api_client.do("POST", f"/serving-endpoints/{name}/invocations", body=body)
        size = height + float(draw.normal(0, 0.2))
        asked.append({"id": f"{day}-{number}", "day": day, "label": label, "size": size, "kind": kinds([size])[0]})
    return asked


def spread_over_days(warehouse: Path, name: str, asked: list[Record]) -> None:
    """The logged requests at the first days of November, the drifted ones on two of them with wrong labels."""
    logged = DeltaTable(warehouse / f"logs/{name}_payload").to_pyarrow_table()
    rows, labels = [], []
    truth = {each["id"]: each for each in asked}
    wrong: Mapping[str, Any] = {
        "size": lambda size: -size,
        "kind": lambda _: "small",
        "label": lambda label: 1 - label,
    }
    for row in logged.to_pylist():
        known = truth[row["client_request_id"]]
        for day in (1, 2) if known["day"] else (0,):
            at = START + day * DAY + timedelta(minutes=int(known["id"].partition("-")[2]))
            request = f"{day} {known['id']}"
            rows.append(row | {"request_time": at, "request_date": at.date(), "client_request_id": request})
            label = known[name] if day == 0 else wrong[name](known[name])
            labels.append({"request": request, "label": label, "known": at + timedelta(minutes=1)})
    write_deltalake(warehouse / f"logs/{name}_days", pa.Table.from_pylist(rows, logged.schema))
    kind = pa.array([each["label"] for each in labels]).type
    write_deltalake(
        warehouse / f"gold/{name}_outcomes",
        pa.Table.from_pylist(labels, LABEL_TABLE.set(1, pa.field("label", kind))),
    )


@pytest.mark.parametrize(
    ("name", "field", "metric", "drifted"),
    [
        ("size", "value", "mae", {"height"}),
        ("kind", "label", "accuracy", {"height"}),
        ("label", "label", "accuracy", set()),
    ],
    ids=["regression by a blend", "multiclass", "hooks that change an input and the probability"],
)
def test_drift_and_a_loss_on_labels_are_found_for_every_kind_of_version_and_nothing_on_a_quiet_day(  # noqa: PLR0917
    live: Live, monkeypatch: pytest.MonkeyPatch, name: str, field: str, metric: str, drifted: set[str]
) -> None:
    code, found = live.monitor(name, monkeypatch)
    assert (code, found["action"]) == (5, "retrain")
    assert found["rows"]["in_windows"] == 3 * REQUESTS
    assert found["labels"]["counted"] == 3 * REQUESTS
    assert (found["tested"], found["notes"]) == (3, [])
    confirmed = {(each["kind"], each["subject"]) for each in found["findings"] if each["confirmed"]}
    assert confirmed >= {("prediction_drift", field), ("performance", metric)}
    assert {subject for kind, subject in confirmed if kind == "drift"} == drifted
    rows = DeltaTable(live.place.warehouse / "monitoring/findings").to_pyarrow_table().to_pylist()
    of_case = [row for row in rows if row["use_case"] == name]
    assert [row["sentence"] for row in of_case if row["found"] and row["window_start"] == START] == []
    compared = {row["subject"] for row in of_case if row["kind"] == "drift"}
    assert compared == ({"noise"} if name == "label" else {"height", "noise"})
    page = Path(found["report"]).read_text(encoding="utf-8")
    assert f"Drift of the response field {field}" in page
    (headline,) = re.findall('<p class="headline">(.*)</p>', page)
    assert headline.startswith("Retrain: ")
