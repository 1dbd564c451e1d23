"""The full lifecycle through its commands: real tables, a real registry, a real server, no mocks."""

import json
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import mlflow
import pyarrow as pa
import pytest
from mlflow.tracking import MlflowClient
from pyarrow import parquet

from tests.checkout import Checkout, ended
from tests.contract.people import mlflow_restored

USE_CASE = ("--use-case", "term_deposit")
LINEAR = ("--families", "logistic_regression")  # one trial takes a fraction of a second


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """Fresh checkout with a short search; its server is stopped at the end."""
    fresh = Checkout.below(tmp_path_factory.mktemp("lifecycle"))
    set_search(fresh, max_evals=3, families="[logistic_regression, knn]", parallelism=1, blend=0)
    yield fresh
    fresh.run("deployment.run", "stop")


def set_search(checkout: Checkout, use_case: str = "term_deposit", **settings: int | str) -> None:
    file = checkout.root / "training" / "use_cases" / f"{use_case}.yml"
    lines = file.read_text().splitlines()
    for name, value in settings.items():
        lines = [f"  {name}: {value}" if line.startswith(f"  {name}:") else line for line in lines]
    file.write_text("\n".join(lines) + "\n")


def train(checkout: Checkout, *search: str) -> str:
    """Train and register a new challenger."""
    return checkout.run("training.run", *USE_CASE, *search)


def status(checkout: Checkout) -> dict[str, Any]:
    current: dict[str, Any] = json.loads(checkout.run("deployment.run", "status", "--json"))
    return current


@pytest.fixture(scope="module")
def server(checkout: Checkout) -> dict[str, Any]:
    """URL and token file of the checkout's server, after it was started."""
    return status(checkout)


def post(server: dict[str, Any], body: object, endpoint: str = "term-deposit") -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(
        f"{server['host']}/serving-endpoints/{endpoint}/invocations",
        json.dumps(body).encode(),
        {
            "Authorization": f"Bearer {Path(server['token_file']).read_text().strip()}",
            "Content-Type": "application/json",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as refusal:
        return refusal.code, json.load(refusal)


def stages(client: MlflowClient) -> dict[str, str]:
    return {str(each.version): each.tags["stage"] for each in client.search_model_versions("name = 'term_deposit'")}


@pytest.fixture(scope="module")
def client(checkout: Checkout) -> MlflowClient:
    uri = f"sqlite:///{checkout.root / 'mlflow.db'}"
    return MlflowClient(uri, uri)


def test_commands_out_of_order_have_a_hint_to_the_right_one(checkout: Checkout) -> None:
    assert "dbt build --select +client_features" in checkout.run("training.run", *USE_CASE, exits=1)
    assert "python -m training.run" in checkout.run("deployment.run", "promote", *USE_CASE, exits=1)
    assert "python -m deployment.run promote" in checkout.run(
        "deployment.run", "serve", *USE_CASE, "--detach", exits=1
    )
    assert "serve --use-case" in checkout.run("deployment.run", "ask", *USE_CASE, exits=1)
    assert status(checkout) == {"host": None, "token_file": None, "pid": None, "endpoints": []}


def test_from_raw_rows_to_a_prediction(checkout: Checkout, client: MlflowClient) -> None:
    checkout.run("dbt", "build")
    assert "gold.client_features" in checkout.type_line("python -m training.features")
    assert "version 1 is the challenger" in train(checkout)
    assert "Version 1 is the champion" in checkout.run("deployment.run", "promote", *USE_CASE)
    checkout.run("deployment.run", "serve", *USE_CASE, "--detach")
    output = checkout.run("deployment.run", "ask", *USE_CASE)
    assert '"probability"' in output
    assert '"band"' in output
    assert "curl -s" in output
    endpoint = status(checkout)["endpoints"][0]
    assert (endpoint["name"], endpoint["ready"], endpoint["versions"]) == ("term-deposit", "READY", {"1": 100})
    version = client.get_model_version_by_alias("term_deposit", "champion")
    assert version.tags["stage"] == "Production"
    assert "first version" in str(version.description)


def test_the_report_and_the_trials_are_tracked(checkout: Checkout, client: MlflowClient) -> None:
    run = client.get_run(str(client.get_model_version("term_deposit", "1").run_id))
    trials = client.search_runs([run.info.experiment_id], f"tags.mlflow.parentRunId = '{run.info.run_id}'")
    searched = [trial for trial in trials if trial.data.params["family"] in {"logistic_regression", "knn"}]
    assert len(searched) == 3
    assert {trial.data.params["family"] for trial in trials} - {"logistic_regression", "knn"} <= {"dummy", "blend"}
    expected = {"accuracy", "precision", "recall", "f1", "roc_auc", "average_precision", "log_loss"}
    for trial in trials:
        assert expected <= set(trial.data.metrics)
    assert (checkout.root / "reports" / "term_deposit" / "version-1.html").read_text().startswith("<!doctype html>")
    assert [file.path for file in client.list_artifacts(run.info.run_id, "report")] == ["report/version-1.html"]


def test_a_drifted_batch_of_live_traffic_is_found_and_an_alert_recommended(checkout: Checkout) -> None:
    rows = ("--input", "staging.stg_bank_contacts", "--newest", "7121")
    checkout.run("deployment.run", "replay", *USE_CASE, *rows, "--seconds", "3", "--shift", "age=15")
    output = checkout.run(
        "deployment.run", "monitor", *USE_CASE, "--since", "10m", "--window", "1s", "--json", exits=4
    )
    found, _ = json.JSONDecoder().raw_decode(output[output.index("{\n") :])
    confirmed = {(each["kind"], each["subject"]) for each in found["findings"] if each["confirmed"]}
    assert ("drift", "age") in confirmed
    assert found["action"] == "alert"
    report = checkout.root / "reports" / "term_deposit" / "monitoring.html"
    assert "drift of age" in report.read_text(encoding="utf-8")


def test_the_endpoint_and_the_registered_model_predict_the_same(
    checkout: Checkout, server: dict[str, Any], golden: dict[str, Any]
) -> None:
    with mlflow_restored():
        mlflow.set_tracking_uri(f"sqlite:///{checkout.root / 'mlflow.db'}")
        model = mlflow.pyfunc.load_model("models:/term_deposit/1").unwrap_python_model()
    records = [golden | {"age": age, "job": job} for age in (18, 49, 50, 95) for job in ("student", None)]
    code, response = post(server, {"dataframe_records": records})
    assert code == 200
    assert response["predictions"] == model.respond(records)


@pytest.mark.parametrize(
    ("change", "field", "got"),
    [
        ({"age": "old"}, "age", "'old'"),
        ({"age": 15}, "age", "15"),
        ({"marital": "Married"}, "marital", "'Married'"),
        ({"job": "astronaut"}, "job", "'astronaut'"),
        ({"balance": None}, "balance", "null"),
        ({"jobs": "student"}, "jobs", "'student'"),
    ],
)
def test_invalid_input_is_rejected_with_row_and_field(
    server: dict[str, Any], golden: dict[str, Any], change: dict[str, Any], field: str, got: str
) -> None:
    code, response = post(server, {"dataframe_records": [golden, golden | change]})
    assert code == 400
    assert [(p["row"], p["field"], p["got"]) for p in response["problems"]] == [(1, field, got)]


def test_an_interrupted_training_keeps_its_trials(checkout: Checkout, client: MlflowClient) -> None:
    set_search(checkout, max_evals=200)
    experiment = client.get_experiment_by_name("term_deposit")
    assert experiment is not None
    before = len(client.search_runs([experiment.experiment_id]))
    with ended(checkout.start("training.run", *USE_CASE)) as process:
        deadline = time.monotonic() + 120
        while len(client.search_runs([experiment.experiment_id])) < before + 4 and time.monotonic() < deadline:
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "Interrupted. Nothing was registered. To continue, repeat the command with --resume " in output
    assert "Traceback" not in output
    assert len(client.search_runs([experiment.experiment_id])) >= before + 4
    assert str(client.get_model_version_by_alias("term_deposit", "champion").version) == "1"
    assert stages(client) == {"1": "Production"}


def test_a_better_version_is_promoted_and_served(checkout: Checkout, client: MlflowClient) -> None:
    assert "version 2 is the challenger" in train(checkout, *LINEAR, "--max-evals", "3")
    output = checkout.run("deployment.run", "promote", *USE_CASE)
    assert "Version 2 is the champion" in output
    assert "serves version 2 (100 %)" in output
    assert stages(client) == {"1": "Archived", "2": "Production"}


def test_a_worse_version_is_not_promoted(checkout: Checkout, client: MlflowClient) -> None:
    assert "version 3 is the challenger" in train(checkout, *LINEAR, "--method", "random", "--max-evals", "1")
    output = checkout.run("deployment.run", "promote", *USE_CASE, exits=3)
    assert "gain in roc_auc over version 2" in output
    assert "version 2 stays the champion" in output
    assert status(checkout)["endpoints"][0]["versions"] == {"2": 100}
    assert stages(client) == {"1": "Archived", "2": "Production", "3": "Development"}


def test_a_good_version_is_promoted_and_rolled_back(checkout: Checkout, client: MlflowClient) -> None:
    assert "version 4 is the challenger" in train(checkout, *LINEAR, "--max-evals", "2", "--seed", "2")
    assert "serves version 4 (100 %)" in checkout.run("deployment.run", "promote", *USE_CASE)
    output = checkout.run("deployment.run", "rollback", *USE_CASE, "--reason", "complaints from the branches")
    assert "Version 2 is the champion" in output
    assert "serves version 2 (100 %)" in output
    assert status(checkout)["endpoints"][0]["versions"] == {"2": 100}
    assert stages(client) == {"1": "Archived", "2": "Production", "3": "Development", "4": "Archived"}
    assert int(client.get_model_version_by_alias("term_deposit", "champion").version) == 2


def test_the_history_lists_every_change(checkout: Checkout) -> None:
    entries = json.loads(checkout.run("deployment.run", "history", *USE_CASE, "--json"))
    assert [(e["action"], e["version"], e["from_version"], e["to_version"]) for e in entries] == [
        ("promoted", 1, None, 1),
        ("promoted", 2, 1, 2),
        ("refused", 3, 2, 2),
        ("promoted", 4, 2, 4),
        ("rolled_back", 2, 4, 2),
    ]
    assert entries[-1]["reason"] == "complaints from the branches"
    assert "5 entries verified; the registry matches" in checkout.run("deployment.run", "verify", *USE_CASE)
    assert "minimum roc_auc" in checkout.run("deployment.run", "promote", *USE_CASE, "--explain", "3")


def test_a_server_in_the_foreground_serves_the_champion_until_ctrl_c(checkout: Checkout) -> None:
    checkout.run("deployment.run", "stop")
    refused = checkout.run("deployment.run", "serve", "--use-case", "churn", exits=1)
    assert "churn has no champion to serve" in refused
    assert "promote --use-case churn" in refused
    with ended(checkout.start("deployment.run", "serve", *USE_CASE)) as server:
        assert server.stdout is not None
        output_line = next(line for line in server.stdout if "serves version" in line)
        assert output_line.strip() == "Endpoint term-deposit serves version 2 (100 %)"
        assert '"probability"' in checkout.run("deployment.run", "ask", *USE_CASE)
        server.send_signal(signal.SIGINT)
        output, _ = server.communicate(timeout=60)
    assert server.returncode == 0, output
    assert status(checkout)["host"] is None


def test_a_request_with_only_a_key_uses_the_newest_features(checkout: Checkout) -> None:
    file = checkout.root / "training" / "use_cases" / "churn.yml"
    file.write_text(file.read_text().replace("serving:\n", "serving:\n  lookup: {unknown: refuse}\n"))
    set_search(checkout, "churn", max_evals=1, families="[logistic_regression]", parallelism=1, blend=0)
    checkout.type_line("python -m training.publish --online")
    churn = ("--use-case", "churn")
    checkout.type_line("python -m training.run --use-case churn")
    assert "is the champion" in checkout.run("deployment.run", "promote", *churn)
    checkout.run("deployment.run", "serve", *churn, "--detach")
    server = status(checkout)
    before = probability(server, {"customer_id": 7})
    assert probability(server, {"customer_id": 7, "orders_90d": 50, "complaints_90d": 0}) != before
    code, refused = post(server, {"dataframe_records": [{"customer_id": 7}, {"customer_id": 10**9}]}, "churn")
    assert (code, refused["problems"][0]["row"], refused["problems"][0]["field"]) == (400, 1, "customer_id")

    complain(checkout, customer=7)
    checkout.run("dbt", "build", "--select", "+customer_activity_features", "--exclude", "test_type:unit")
    assert probability(server, {"customer_id": 7}) == before, "unpublished features are not used"
    checkout.run("training.publish", "--online", "gold.customer_activity_features")
    assert probability(server, {"customer_id": 7}) != before
    assert status(checkout)["pid"] == server["pid"]


def test_more_commands_of_the_pages_run_on_the_served_model(checkout: Checkout) -> None:
    assert "churn" in checkout.type_line("python -m deployment.run status")
    checkout.type_line("python -m deployment.run add-caller shop --rate 50 --burst 100 --endpoint term-deposit")
    checkout.type_line(
        "python -m training.score --use-case churn --input TABLE --output TABLE --version 1",
        {"--input TABLE": "--input gold.churn_labels", "--output TABLE": "--output gold.scored_customers"},
    )
    assert (checkout.root / "warehouse" / "gold" / "scored_customers" / "_delta_log").is_dir()
    assert "gold.client_features" in checkout.type_line("python -m training.maintenance")


def probability(server: dict[str, Any], record: dict[str, Any]) -> float:
    code, response = post(server, {"dataframe_records": [record]}, "churn")
    assert code == 200, response
    return float(response["predictions"][0]["probability"])


def complain(checkout: Checkout, customer: int) -> None:
    """Deliver three complaints of one customer on one day, and an order of the next day, which closes the day."""
    day = datetime(2025, 2, 10, tzinfo=UTC)
    contact = {"customer_id": customer, "contacted_at": day, "kind": "complaint", "known_at": day}
    order = {"customer_id": customer, "amount": 500.0}
    ordered = [
        order | {"order_id": 9_000_000 + number, "ordered_at": at, "known_at": at}
        for number, at in enumerate((day, day + timedelta(days=1)))
    ]
    complaints = [contact | {"contact_id": 9_000_000 + number} for number in range(3)]
    rows: dict[str, list[dict[str, Any]]] = {"customers": [], "contacts": complaints, "orders": ordered}
    for kind, delivered in rows.items():
        folder = checkout.root / "dbt_project" / "landing" / "german_customers" / kind
        schema = parquet.read_schema(next(folder.glob("*.parquet")))
        parquet.write_table(pa.Table.from_pylist(delivered, schema), folder / "20250201-20250301-00000.parquet")
