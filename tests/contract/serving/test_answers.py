"""Answers of a real server: the version that they name, and what they never show."""

import json
import sys
import threading
import warnings
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import mlflow
import pytest
from jsonschema import Draft202012Validator
from mlflow.models import ModelSignature
from mlflow.types.schema import ColSpec, Schema

from deployment.model_server.clock import SYSTEM
from deployment.model_server.http.auth import read_token
from deployment.model_server.process import server_process
from deployment.model_server.settings import ServerSettings
from lakehouse.settings import PROJECT
from scoring.digest import DIGEST, digest
from tests.contract.held_request import HeldRequest
from tests.contract.people import mlflow_restored
from tests.ports import free_port

ROOT = "/api/2.0/serving-endpoints"
ROWS = {"dataframe_records": [{"age": 50}]}


def call(server: ServerSettings, method: str, path: str, body: Any = None) -> tuple[int, str]:
    """Status and text of the response to a request with the control token."""
    headers = {"authorization": f"Bearer {read_token(server.token_file)}", "content-type": "application/json"}
    connection = HTTPConnection(server.host, server.port, timeout=60)
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text


def serving(model: str, version: int, name: str = "x") -> dict[str, Any]:
    return {"served_entities": [{"entity_name": model, "entity_version": str(version), "name": name}]}


def settled(server: ServerSettings, name: str) -> dict[str, Any]:
    """The endpoint after its update has ended."""
    while True:
        endpoint: dict[str, Any] = json.loads(call(server, "GET", f"{ROOT}/{name}")[1])
        if endpoint["state"]["config_update"] != "IN_PROGRESS":
            return endpoint
        SYSTEM.sleep(0.02)


def test_metrics_name_the_version_that_answered_across_a_swap(
    server: ServerSettings, held_request: HeldRequest
) -> None:
    call(server, "POST", ROOT, {"name": "swap", "config": serving("waiting", 1)})
    settled(server, "swap")
    answers: list[tuple[int, str]] = []
    asking = threading.Thread(
        target=lambda: answers.append(call(server, "POST", "/serving-endpoints/swap/invocations", ROWS))
    )
    asking.start()
    try:
        while not held_request.arrived.exists():
            SYSTEM.sleep(0.01)
        call(server, "PUT", f"{ROOT}/swap/config", serving("term_deposit", 2))
        assert settled(server, "swap")["config"]["served_entities"][0]["entity_version"] == "2"
    finally:
        held_request.response_allowed.touch()
        asking.join(20)
    assert [status for status, _ in answers] == [200]
    counts = [line for line in call(server, "GET", "/metrics")[1].splitlines() if 'endpoint="swap"' in line]
    counted = [line for line in counts if line.startswith("model_server_request_seconds_count")]
    assert len(counted) == 1 and 'version="1"' in counted[0], counted


def test_a_server_does_not_start_with_a_state_file_that_contradicts_itself(tmp_path: Path, tracking_uri: str) -> None:
    settings = ServerSettings(PROJECT, tmp_path / ".serving", tracking_uri, port=free_port())
    server_process.serve_detached(settings)
    call(settings, "POST", ROOT, {"name": "e", "config": serving("term_deposit", 1)})
    settled(settings, "e")
    server_process.stop(settings)
    stored = settings.endpoints_file.read_text()
    settings.endpoints_file.write_text(stored.replace('"traffic_percentage": 100', '"traffic_percentage": 99'))
    with pytest.raises(
        server_process.ServerFailed, match=r"endpoints\.json cannot be read: 'e' has traffic perc.* 99"
    ):
        server_process.serve_detached(settings)


FAILING = """
import mlflow
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PythonModel

class Failing(PythonModel):
    def load_context(self, context):
        if MODE == "load":
            open(FILE)

    def predict(self, context, model_input, params=None):
        if MODE == "mlflow":
            raise MlflowException(f"no artifact at {FILE}")
        open(FILE)

mlflow.models.set_model(Failing())
"""


@pytest.fixture
def failing(tracking_uri: str, tmp_path: Path) -> str:
    """A model whose versions name a path when they load (1), and predict (2 and 3); 4 has lost its files."""
    with mlflow_restored(), warnings.catch_warnings(record=True):
        warnings.simplefilter("always")  # of a model without an input example
        mlflow.set_tracking_uri(tracking_uri)
        mlflow.set_registry_uri(tracking_uri)
        client = mlflow.MlflowClient()
        client.create_registered_model("failing")
        for mode in ("load", "mlflow", "predict", "lost"):
            script = tmp_path / f"{mode}.py"
            missing = tmp_path / "private folder" / "weights.bin"
            script.write_text(FAILING.replace("MODE", repr(mode)).replace("FILE", repr(str(missing))))
            folder = tmp_path / mode
            mlflow.pyfunc.save_model(
                folder, python_model=str(script), pip_requirements=["mlflow"],
                signature=ModelSignature(Schema([ColSpec("double", "age")])),
            )  # fmt: skip
            source = folder.as_uri() if mode != "lost" else (tmp_path / "gone").as_uri()
            client.create_model_version("failing", source=source, tags={DIGEST: digest(folder)})
    return "failing"


def test_no_answer_shows_a_path_of_the_machine(server: ServerSettings, failing: str, tmp_path: Path) -> None:
    answers = []
    for version in (1, 2, 3, 4):
        name = f"failing-{version}"
        answers.append(call(server, "POST", ROOT, {"name": name, "config": serving(failing, version)})[1])
        settled(server, name)
        for method, path in (
            ("GET", f"{ROOT}/{name}"),
            ("GET", f"{ROOT}/{name}/served-models/x/logs"),
            ("GET", f"{ROOT}/{name}/served-models/x/build-logs"),
            ("GET", f"{ROOT}/{name}/openapi"),
            ("GET", f"/serving-endpoints/{name}/ping"),
        ):
            answers.append(call(server, method, path)[1])
        for scored in ("invocations", "served-models/x/invocations"):
            answers.append(call(server, "POST", f"/serving-endpoints/{name}/{scored}", ROWS)[1])
    answers.append(call(server, "GET", "/metrics")[1])
    assert any(".../weights.bin" in answer for answer in answers), "the name of the file still helps"
    roots = [str(root) for root in (PROJECT, tmp_path, Path.home(), sys.prefix, server.state)]
    shown = [(root, answer) for answer in answers for root in [*roots, "private folder"] if root in answer]
    assert not shown, shown[0]
    assert str(tmp_path / "private folder") in server.log_file.read_text(), "the log has the path"


@pytest.mark.parametrize("earlier", [False, True], ids=["a new table", "a table of before"])
def test_a_payload_table_is_as_private_as_the_log(tracking_uri: str, tmp_path: Path, earlier: bool) -> None:
    warehouse = tmp_path / "warehouse"
    settings = ServerSettings(PROJECT, tmp_path / ".serving", tracking_uri, port=free_port(), warehouse=warehouse)
    table = warehouse / "logs" / "e_payload"
    if earlier:
        table.mkdir(parents=True, mode=0o755)
    config = {"catalog_name": "main", "schema_name": "logs", "table_name_prefix": "e", "enabled": True}
    server_process.serve_detached(settings)
    try:
        created = {"name": "e", "config": serving("term_deposit", 1)}
        call(settings, "POST", ROOT, created | {"ai_gateway": {"inference_table_config": config}})
        settled(settings, "e")
        assert call(settings, "POST", "/serving-endpoints/e/invocations", ROWS)[0] == 200
    finally:
        server_process.stop(settings)
    written = [settings.log_file, table, *table.rglob("*")]
    open_to_others = [path for path in written if path.stat().st_mode & 0o077]
    assert len(written) > 4 and not open_to_others, open_to_others


WORST_TEXT, WORST_NUMBER = "\U0001f600" * 255, -1.2345678901234567e-308


def test_the_largest_body_that_the_document_admits_is_answered(server: ServerSettings) -> None:
    call(server, "POST", ROOT, {"name": "large", "config": serving("plain", 1)})
    settled(server, "large")
    path = "/serving-endpoints/large/invocations"
    posted = json.loads(call(server, "GET", "/serving-endpoints/large/openapi")[1])["paths"][path]["post"]
    schema = posted["requestBody"]["content"]["application/json"]["schema"]
    records = next(each for each in schema["oneOf"] if "dataframe_records" in each["required"])
    rows = records["properties"]["dataframe_records"]
    state, number = rows["items"]["properties"]["state"], rows["maxItems"]
    assert (state["maxLength"], 2_000 < number < 10_000) == (len(WORST_TEXT), True)
    row = {"amount": WORST_NUMBER, "state": WORST_TEXT}
    extra = {
        "client_request_id": "\U0001f600" * 1000,
        "usage_context": {f"{index:02}{WORST_TEXT[2:]}": WORST_TEXT for index in range(20)},
    }
    for make in (
        lambda count: {"dataframe_records": [row] * count},
        lambda count: {
            "dataframe_split": {"columns": list(row), "data": [[*row.values()]] * count, "index": [7] * count}
        },
    ):
        Draft202012Validator(schema).validate(make(2) | extra)
        status, text = call(server, "POST", path, make(number) | extra)
        assert status == 200, text[:300]
    status, text = call(server, "POST", path, {"dataframe_records": [row] * (number + number // 2)})
    assert (status, "MAX_REQUEST_SIZE_EXCEEDED" in text) == (413, True)
