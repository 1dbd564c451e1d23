"""Servers of one registered version, each started, asked and ended alike: ours, `mlflow models serve`, BentoML."""

import asyncio
import os
import subprocess
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.harness.load import LoadFailed, count
from benchmarks.harness.measure import tool
from deployment.endpoints import endpoint_client
from deployment.model_server.http.auth import read_token
from deployment.model_server.process import server_process
from deployment.model_server.settings import ServerSettings
from lakehouse.settings import PROJECT, Settings
from tests.ports import free_port
from training.use_case.use_case import UseCase

BENTOML = "bentoml==1.4.40"
SECONDS = 120  # for a server to answer its first request
_SERVICE = """
import os
from typing import Any

import bentoml
import mlflow
import pandas as pd
from mlflow.utils.proto_json_utils import dataframe_from_parsed_json


@bentoml.service
class Scoring:
    def __init__(self) -> None:
        self.model = mlflow.pyfunc.load_model(os.environ["BENCH_MODEL"])

    @bentoml.api
    def invocations(self, dataframe_records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        schema = self.model.metadata.get_input_schema()
        answers = self.model.predict(dataframe_from_parsed_json(dataframe_records, "records", schema))
        return answers.to_dict("records") if isinstance(answers, pd.DataFrame) else list(answers)
"""


@dataclass(frozen=True)
class Version:
    """A registered version: what it is, and a row that it takes."""

    use_case: UseCase
    family: str
    number: str
    compiled: str

    @property
    def title(self) -> str:
        return f"{self.use_case.name}, {self.family} ({self.compiled})"

    @property
    def uri(self) -> str:
        return f"models:/{self.use_case.name}/{self.number}"

    def body(self, rows: int) -> dict[str, Any]:
        return {"dataframe_records": [dict(self.use_case.golden_request)] * rows}


@dataclass(frozen=True)
class Server:
    """A server that answers for one version: where, how it is asked, and what its start took."""

    url: str
    headers: Mapping[str, str]
    pid: int
    seconds: float


Start = Callable[[Version, Settings], AbstractContextManager[Server]]


def server_settings(here: Settings, state: str = ".serving") -> ServerSettings:
    """A model server of its own port and state folder."""
    return ServerSettings(
        PROJECT, here.project / state, here.tracking_uri, port=free_port(), warehouse=here.warehouse
    )


@contextmanager
def ours(version: Version, here: Settings, state: str = ".serving") -> Iterator[Server]:
    """Our server as it starts again: with the endpoint that it served before."""
    settings = server_settings(here, state)
    with new(version, settings):
        pass
    began = time.monotonic()
    server_process.serve_detached(settings)
    try:
        yield _ours_at(settings, version, began)
    finally:
        server_process.stop(settings)


@contextmanager
def new(version: Version, settings: ServerSettings) -> Iterator[Server]:
    """Our server as it starts the first time: nothing is fetched yet, and the endpoint `bench` is created."""
    began = time.monotonic()
    server_process.serve_detached(settings)
    try:
        client = endpoint_client.connect(settings.url, read_token(settings.token_file))
        endpoint_client.deploy(client, "bench", version.use_case.name, int(version.number))
        yield _ours_at(settings, version, began)
    finally:
        server_process.stop(settings)


def _ours_at(settings: ServerSettings, version: Version, began: float) -> Server:
    headers = {"authorization": f"Bearer {read_token(settings.token_file)}"}
    url = f"{settings.url}/serving-endpoints/bench/invocations"
    _until_answered(url, headers, version)
    server = server_process.running(settings)
    assert server is not None
    return Server(url, headers, server.pid, time.monotonic() - began)


def mlflow(version: Version, here: Settings) -> AbstractContextManager[Server]:
    """`mlflow models serve` as it starts by itself: one worker."""
    port = free_port()
    command = [tool("mlflow"), "models", "serve", "-m", version.uri, "-p", str(port), "--env-manager", "local"]
    return _peer(command, {}, port, version, here)


def bentoml(version: Version, here: Settings) -> AbstractContextManager[Server]:
    """BentoML's own server around the pyfunc, with one worker.

    It is installed once a run into an environment of its own, which sees the packages of this one behind its own.
    """
    home = here.project / "bentoml"
    if not home.exists():
        _install_bentoml(home)
    port = free_port()
    command = [str(home / "bin" / "bentoml"), "serve", "bench_service:Scoring", "--port", str(port)]
    environment = {"BENCH_MODEL": version.uri, "BENTOML_DO_NOT_TRACK": "true", "BENTOML_HOME": str(home / "home")}
    return _peer([*command, "--host", "127.0.0.1", "--working-dir", str(home)], environment, port, version, here)


def _install_bentoml(home: Path) -> None:
    """Raises CalledProcessError: the registry of packages does not answer, or has no BentoML of that version."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    python = str(home / "bin" / "python")
    subprocess.run([tool("uv"), "pip", "install", "--quiet", "--python", python, BENTOML], check=True)
    packages = sysconfig.get_path("purelib", vars={"base": str(home)})
    lines = [sysconfig.get_path("purelib"), str(PROJECT)]
    Path(packages, "zz_beside.pth").write_text("\n".join(lines), encoding="utf-8")
    (home / "bench_service.py").write_text(_SERVICE, encoding="utf-8")


PEERS: Mapping[str, Start] = {"mlflow": mlflow, "bentoml": bentoml}


@contextmanager
def _peer(
    command: list[str], environment: Mapping[str, str], port: int, version: Version, here: Settings
) -> Iterator[Server]:
    log = here.project / "peer.log"
    began = time.monotonic()
    # `mlflow models serve` looks for uvicorn on the PATH, where an environment that is not activated has none.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    given = {**os.environ, "PATH": path, "MLFLOW_TRACKING_URI": here.tracking_uri, **environment}
    with ExitStack() as stack:
        said = stack.enter_context(log.open("w"))
        child = subprocess.Popen(command, env=given, stdout=said, stderr=said, start_new_session=True)
        stack.callback(child.wait)
        stack.callback(_end, child)
        url = f"http://127.0.0.1:{port}/invocations"
        _until_answered(url, {}, version, lambda: _require_running(child, log))
        yield Server(url, {}, child.pid, time.monotonic() - began)


def _end(child: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):  # it has ended, and all that it started
        os.killpg(child.pid, 15)


def _require_running(child: subprocess.Popen[bytes], log: Path) -> None:
    if (code := child.poll()) is not None:
        raise LoadFailed(f"the server ended with {code}: {log.read_text(errors='replace')[-300:]}")


def _until_answered(
    url: str, headers: Mapping[str, str], version: Version, require: Callable[[], None] = lambda: None
) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        require()
        try:
            found = asyncio.run(count(url, headers, version.body(1), range(1), 1))
        except (OSError, asyncio.IncompleteReadError, IndexError):
            found = Counter()
        if any(status == 200 for status, _, _ in found):
            return
        time.sleep(0.02)
    raise LoadFailed(f"{url} did not answer within {SECONDS} s")


def bench_settings(folder: Path) -> Settings:
    """A registry in the folder; the gold tables are those of the checkout."""
    uri = f"sqlite:///{folder}/mlflow.db"
    return replace(Settings.from_environment(), project=folder, tracking_uri=uri, registry_uri=uri)
