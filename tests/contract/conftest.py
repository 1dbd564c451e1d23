"""Fixtures: a registry with tiny models, and real model servers on free ports that stop with the test."""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient

from deployment.endpoints import endpoint_client
from deployment.gate.gate import Gate
from deployment.model_server.http.auth import read_token
from deployment.model_server.process import server_process
from deployment.model_server.settings import ServerSettings
from lakehouse.settings import PROJECT
from scoring.digest import DIGEST, digest
from tests.contract.databases import new_database
from tests.contract.gate.commands import promoting
from tests.contract.held_request import HeldRequest
from tests.contract.people import Environment, opened_gate, set_challenger
from tests.ports import free_port

STRICT = """
import mlflow
from mlflow.pyfunc import PythonModel
from scoring.contract import ContractViolation, Problem

class Strict(PythonModel):
    def respond(self, records):
        bad = [Problem(row, "age", "a whole number", repr(record.get("age")))
               for row, record in enumerate(records) if type(record.get("age")) is not int]
        if bad:
            raise ContractViolation(bad)
        return [{"version": VERSION, "probability": record["age"] / 100} for record in records]

    def predict(self, context, model_input, params=None):
        return self.respond(model_input.to_dict("records"))

mlflow.models.set_model(Strict())
"""
SLOW = STRICT.replace(
    "    def respond",
    """    def load_context(self, context):
        import os, time
        while not os.path.exists(GATE):
            time.sleep(0.01)

    def respond""",
)
BROKEN = STRICT.replace(
    "    def respond",
    """    def load_context(self, context):
        raise RuntimeError("no weights")

    def respond""",
)
WAITING = STRICT.replace(
    "    def respond(self, records):",
    """    def respond(self, records):
        import os, time
        open(GATE + ".asked", "w").close()
        while not os.path.exists(GATE):
            time.sleep(0.01)""",
)
SCALED = """
import mlflow
from mlflow.pyfunc import PythonModel

class Scaled(PythonModel):
    def predict(self, context, model_input, params=None):
        return (model_input["amount"] * params["factor"]).tolist()

mlflow.models.set_model(Scaled())
"""
PLAIN = """
import mlflow
from mlflow.pyfunc import PythonModel

class Plain(PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input.assign(doubled=model_input["amount"] * 2)[["doubled", "state"]]

mlflow.models.set_model(Plain())
"""


@pytest.fixture(scope="session")
def awaited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that `slow` version 1 waits for while it loads."""
    return tmp_path_factory.mktemp("gate") / "open"


@pytest.fixture
def held_request(awaited: Path) -> Iterator[HeldRequest]:
    """Neither file exists at the start of a test, whichever test used the model before. At the end it responds."""
    allowed = awaited.with_name(awaited.name + ".respond")
    held = HeldRequest(allowed.with_name(allowed.name + ".asked"), allowed)
    for file in (held.arrived, held.response_allowed):
        file.unlink(missing_ok=True)
    yield held
    held.response_allowed.touch()


@pytest.fixture(scope="session")
def tracking_uri(tmp_path_factory: pytest.TempPathFactory, awaited: Path) -> str:
    """A registry with `term_deposit` 1 to 3 (3 fails to load), and with other models.

    Version 2 of `refusing` refuses its golden request, and version 2 of `drifted` predicts something else.
    """
    folder = tmp_path_factory.mktemp("registry")
    uri = new_database(folder)
    with warnings.catch_warnings(record=True):  # these tests do not cover registration
        warnings.simplefilter("always")
        _register(uri, folder, awaited)
    return uri


def _register(uri: str, folder: Path, awaited: Path) -> None:
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, ParamSchema, ParamSpec, Schema

    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("models", (folder / "artifacts").as_uri()))
    signature = ModelSignature(
        inputs=Schema([ColSpec("double", "amount"), ColSpec("string", "state", required=False)])
    )
    factor = ParamSchema([ParamSpec("factor", "double", 1.0)])
    golden: list[dict[str, Any]] = [
        {"golden_request": {"age": 41}, "golden_response": {"version": version, "probability": 0.41}}
        for version in (1, 2)
    ]
    refusing = {"golden_request": [{"age": "41"}]}
    models = [
        ("term_deposit", STRICT.replace("VERSION", "1"), golden[0], None),
        ("term_deposit", STRICT.replace("VERSION", "2"), golden[1], None),
        ("term_deposit", BROKEN.replace("VERSION", "3"), None, None),
        ("refusing", STRICT.replace("VERSION", "1"), golden[0], None),
        ("refusing", STRICT.replace("VERSION", "2"), refusing, None),
        ("drifted", STRICT.replace("VERSION", "1"), golden[0], None),
        ("drifted", STRICT.replace("VERSION", "2"), golden[0], None),
        ("slow", SLOW.replace("VERSION", "1").replace("GATE", repr(str(awaited))), None, None),
        ("plain", PLAIN, None, signature),
        ("waiting", WAITING.replace("VERSION", "1").replace("GATE", repr(str(awaited) + ".respond")), None, None),
        ("scaled", SCALED, None, ModelSignature(inputs=signature.inputs, params=factor)),
    ]
    for number, (name, code, metadata, given) in enumerate(models):
        script = folder / f"model_{number}.py"
        script.write_text(code)
        mlflow.pyfunc.log_model(
            name=name, python_model=str(script), registered_model_name=name, pip_requirements=["mlflow"],
            metadata=metadata, signature=given,
        )  # fmt: skip
    client = mlflow.MlflowClient()
    for version in client.search_model_versions():
        files = Path(mlflow.artifacts.download_artifacts(f"models:/{version.name}/{version.version}"))
        client.set_model_version_tag(version.name, version.version, DIGEST, digest(files))


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Tables, and a registry with four versions of `people`; each test takes a copy."""
    return Environment.built(tmp_path_factory.mktemp("people"))


@pytest.fixture(scope="session")
def with_champion(template: Environment, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Version 2 is the champion after version 1, and 4 is the challenger."""
    environment = template.copied(tmp_path_factory.mktemp("with_champion"))
    with opened_gate(environment) as gate:
        for version, before in ((1, None), (2, 1)):
            with gate.locked():
                gate.apply(promoting(version, before))
        set_challenger(gate, 4)
    return environment


@pytest.fixture
def environment(template: Environment, tmp_path: Path) -> Environment:
    return template.copied(tmp_path)


@pytest.fixture
def gate(environment: Environment) -> Iterator[Gate]:
    with opened_gate(environment) as found:
        yield found


Start = Callable[[], ServerSettings]


@pytest.fixture
def start(tracking_uri: str, tmp_path: Path) -> Iterator[Start]:
    """Starts servers with the state folder of this test."""
    started: list[ServerSettings] = []

    def run() -> ServerSettings:
        settings = ServerSettings(PROJECT, tmp_path / ".serving", tracking_uri, port=free_port())
        server_process.serve_detached(settings)
        started.append(settings)
        return settings

    yield run
    for settings in started:
        server_process.stop(settings)


@pytest.fixture(scope="module")
def server(tracking_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerSettings]:
    """One server for all tests of a module; each test uses its own endpoint names."""
    state = tmp_path_factory.mktemp("server") / ".serving"
    settings = ServerSettings(PROJECT, state, tracking_uri, port=free_port())
    server_process.serve_detached(settings)
    yield settings
    server_process.stop(settings)


@pytest.fixture(scope="module")
def client(server: ServerSettings) -> WorkspaceClient:
    return endpoint_client.connect(server.url, read_token(server.token_file))
