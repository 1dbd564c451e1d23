"""Servers of one registered version with one interface: our model server, `mlflow models serve` and BentoML."""

import asyncio
import os
import subprocess
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.harness.load import TURN, LoadFailed, count
from benchmarks.harness.measure import tool
from deployment.endpoints import endpoint_client
from deployment.model_server.http.auth import read_token
from deployment.model_server.process import server_process
from deployment.model_server.settings import ServerSettings
from lakehouse.settings import PROJECT, Settings
from tests.ports import free_port
from training.use_case.use_case import UseCase

BENTOML = "bentoml==1.4.40"
SECONDS = 120  # time limit for the first response of a server
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
        predictions = self.model.predict(dataframe_from_parsed_json(dataframe_records, "records", schema))
        return predictions.to_dict("records") if isinstance(predictions, pd.DataFrame) else list(predictions)
"""


@dataclass(frozen=True)
class Version:
    """Registered version, with its use case for a valid request row.

    Attributes:
        texts: inputs that are free texts; each request has others, as a server may remember what it has read.
        key: fields that name an entity, whose features the server looks up; empty if a request has the inputs.
    """

    use_case: UseCase
    family: str
    number: str
    compiled: str
    texts: Sequence[str] = ()
    key: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return f"{self.use_case.name}, {self.family} ({self.compiled}){' by key' if self.key else ''}"

    @property
    def uri(self) -> str:
        return f"models:/{self.use_case.name}/{self.number}"

    def body(self, rows: int) -> dict[str, Any]:
        golden = self.key or self.use_case.golden_request
        record = {**golden, **{name: f"{golden[name]} {TURN}" for name in self.texts}}
        return {"dataframe_records": [record] * rows}


@dataclass(frozen=True)
class Server:
    """Running server of one version: URL, request headers, process id, and start time in seconds."""

    url: str
    headers: Mapping[str, str]
    pid: int
    seconds: float


Start = Callable[[Version, Settings], AbstractContextManager[Server]]


def server_settings(bench: Settings, state: str = ".serving") -> ServerSettings:
    """Settings of a model server with a free port and its own state folder."""
    return ServerSettings(
        PROJECT, bench.project / state, bench.tracking_uri, port=free_port(), warehouse=bench.warehouse
    )


@contextmanager
def ours(version: Version, bench: Settings, state: str = ".serving") -> Iterator[Server]:
    """Restart our server with the endpoint from an earlier start."""
    settings = server_settings(bench, f"{state}-{version.use_case.name}")  # an endpoint serves one model only
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
    """Start our server for the first time: fetch the version and create the endpoint `bench`."""
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
    wait_for_response(url, headers, version)
    server = server_process.running(settings)
    assert server is not None
    return Server(url, headers, server.pid, time.monotonic() - began)


def mlflow(version: Version, bench: Settings) -> AbstractContextManager[Server]:
    """Start `mlflow models serve` with its default of one worker."""
    port = free_port()
    command = [tool("mlflow"), "models", "serve", "-m", version.uri, "-p", str(port), "--env-manager", "local"]
    return _peer(command, {}, port, version, bench)


def bentoml(version: Version, bench: Settings) -> AbstractContextManager[Server]:
    """Start BentoML's server around the pyfunc, with one worker.

    BentoML is installed once per run into a separate environment, which also sees the packages of this one.
    """
    home = bench.project / "bentoml"
    if not home.exists():
        _install_bentoml(home)
    port = free_port()
    command = [str(home / "bin" / "bentoml"), "serve", "bench_service:Scoring", "--port", str(port)]
    environment = {"BENCH_MODEL": version.uri, "BENTOML_DO_NOT_TRACK": "true", "BENTOML_HOME": str(home / "home")}
    return _peer([*command, "--host", "127.0.0.1", "--working-dir", str(home)], environment, port, version, bench)


def _install_bentoml(home: Path) -> None:
    """Install BentoML; raise CalledProcessError if the package index does not respond or lacks this version."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    python = str(home / "bin" / "python")
    subprocess.run([tool("uv"), "pip", "install", "--quiet", "--python", python, BENTOML], check=True)
    packages = sysconfig.get_path("purelib", vars={"base": str(home)})
    lines = [sysconfig.get_path("purelib"), str(PROJECT)]
    Path(packages, "zz_beside.pth").write_text("\n".join(lines), encoding="utf-8")
    (home / "bench_service.py").write_text(_SERVICE, encoding="utf-8")


def empty(version: Version, bench: Settings) -> AbstractContextManager[Server]:
    """Start an application that reads the body and answers `{}`, on the HTTP server that ours uses."""
    port = free_port()
    return _peer([sys.executable, "-m", "benchmarks.harness.empty_server", str(port)], {}, port, version, bench)


PEERS: Mapping[str, Start] = {"mlflow": mlflow, "bentoml": bentoml, "empty": empty}


@contextmanager
def _peer(
    command: list[str], environment: Mapping[str, str], port: int, version: Version, bench: Settings
) -> Iterator[Server]:
    log = bench.project / "peer.log"
    began = time.monotonic()
    # `mlflow models serve` looks for uvicorn on the PATH, which lacks it if the environment is not activated.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    variables = {**os.environ, "PATH": path, "MLFLOW_TRACKING_URI": bench.tracking_uri, **environment}
    with ExitStack() as stack:
        output = stack.enter_context(log.open("w"))
        child = subprocess.Popen(command, env=variables, stdout=output, stderr=output, start_new_session=True)
        stack.callback(child.wait)
        stack.callback(_end, child)
        url = f"http://127.0.0.1:{port}/invocations"
        wait_for_response(url, {}, version, lambda: _require_running(child, log))
        yield Server(url, {}, child.pid, time.monotonic() - began)


def _end(child: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):  # the process and its children have ended
        os.killpg(child.pid, 15)


def _require_running(child: subprocess.Popen[bytes], log: Path) -> None:
    if (code := child.poll()) is not None:
        raise LoadFailed(f"the server ended with {code}: {log.read_text(errors='replace')[-300:]}")


def wait_for_response(
    url: str, headers: Mapping[str, str], version: Version, require: Callable[[], None] = lambda: None
) -> None:
    """Send the version's request until it is answered.

    Args:
        require: raises if the server has ended.

    Raises:
        LoadFailed: the server refuses the request, or does not answer it within `SECONDS`.
    """
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        require()
        try:
            responses = asyncio.run(count(url, headers, version.body(1), range(1), 1))
        except (OSError, asyncio.IncompleteReadError, IndexError):
            responses = Counter()
        if any(status == 200 for status, _, _ in responses):
            return
        if refused := next((each for status, _, each in responses if status == 400), None):
            raise LoadFailed(f"{url} refuses the request of {version.title}: {refused.decode(errors='replace')}")
        time.sleep(0.02)
    raise LoadFailed(f"{url} did not respond within {SECONDS} s")


def bench_settings(folder: Path) -> Settings:
    """Settings with a registry in the folder and the gold tables of the checkout."""
    uri = f"sqlite:///{folder}/mlflow.db"
    return replace(Settings.from_environment(), project=folder, tracking_uri=uri, registry_uri=uri)
