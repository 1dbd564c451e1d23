"""A real server with a hook that ends its process, hangs, or raises anything: no other caller notices.

The version is a golden one with another hook. The value of one field chooses what the hook does.
"""

import json
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient

from deployment.endpoints import endpoint_client, waiting
from deployment.model_server.http.auth import read_token
from deployment.model_server.process import server_process
from deployment.model_server.settings import ServerSettings
from lakehouse.settings import PROJECT
from scoring.digest import DIGEST, digest
from tests.contract.databases import new_database
from tests.contract.people import mlflow_restored
from tests.contract.serving.test_deploying import becomes_true, worker_of
from tests.golden.write_versions import FOLDER
from tests.ports import free_port

HOOK = """
import os, signal, sys, time
KEPT = []

def recurse(n):
    return recurse(n + 1) + 1

def generator_exit():
    raise GeneratorExit

def interrupt():
    raise KeyboardInterrupt

def stop_iteration():
    raise StopIteration(1)

def value_error():
    raise ValueError("cannot read /etc/secret/customers.csv of a caller")

def keep():
    KEPT.append(b"x" * 200_000_000)

ACTIONS = {
    2: lambda: os._exit(3), 3: lambda: os._exit(0), 4: lambda: sys.exit(1), 5: interrupt, 6: generator_exit,
    7: lambda: recurse(0), 8: lambda: os.kill(os.getpid(), signal.SIGSEGV), 9: os.abort, 10: lambda: time.sleep(3),
    11: lambda: time.sleep(40), 12: value_error, 13: keep, 14: stop_iteration, 15: lambda: print("printed"),
}

def add_band(response, record):
    ACTIONS.get(record["amount"], lambda: None)()
    return {**response, "band": "low"}
"""
HOOK_WITH_PROCESS = HOOK.replace('"low"', "str(os.getpid())")
FAILED = {
    2: "exit(3)", 3: "exit(0)", 4: "sys.exit", 5: "interrupt", 6: "generator exit", 7: "recursion", 8: "SIGSEGV",
    9: "abort", 12: "ValueError with a path", 14: "StopIteration",
}  # fmt: skip
SLEEPS, HANGS, KEEPS, PRINTS = 10, 11, 13, 15
SECRETS = re.compile(r"secret|csv|Traceback|ValueError|Recursion|SystemExit|/etc|/tmp|\.py|site-packages")
MODEL_SECONDS = 15.0  # a process starts in less, also on a busy machine
Answer = tuple[int, dict[str, Any]]


@dataclass(frozen=True)
class Calls:
    """Requests to one endpoint of a server."""

    settings: ServerSettings
    endpoint: str

    def score(self, amount: float) -> Answer:
        body = json.dumps({"dataframe_records": [{"amount": amount, "place": "Bonn", "known": None}]})
        return self._send("POST", f"/serving-endpoints/{self.endpoint}/invocations", body)

    def live(self) -> tuple[int, float]:
        """Status of `/live`, and the seconds until it came."""
        began = time.monotonic()
        return self._send("GET", "/live")[0], time.monotonic() - began

    def metrics(self) -> str:
        """The text of `/metrics`."""
        connection = HTTPConnection(self.settings.host, self.settings.port, timeout=60)
        connection.request("GET", "/metrics", headers=self._headers)
        text = connection.getresponse().read().decode()
        connection.close()
        return text

    def metric(self, name: str) -> float:
        """The sum of a metric over its series."""
        values = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", self.metrics(), re.MULTILINE)
        assert values, name
        return sum(map(float, values))

    @property
    def _headers(self) -> dict[str, str]:
        token = read_token(self.settings.data_token_file)
        return {"authorization": f"Bearer {token}", "content-type": "application/json"}

    def _send(self, method: str, path: str, body: str | None = None) -> Answer:
        connection = HTTPConnection(self.settings.host, self.settings.port, timeout=60)
        connection.request(method, path, body, self._headers)
        response = connection.getresponse()
        answer = response.status, json.loads(response.read())
        connection.close()
        return answer


def register(folder: Path, uri: str, name: str, hook: str | None) -> None:
    """Register the golden version with its hook replaced; None keeps the version without a change of its hook."""
    from mlflow import MlflowClient

    files = Path(shutil.copytree(FOLDER / "calibrated_linear_with_hook", folder / name))
    if hook is not None:
        (files / "artifacts" / "postprocess.py").write_text(hook)
        description = (files / "MLmodel").read_text()
        kept, _, rest = description.partition("  golden_request:")
        (files / "MLmodel").write_text(kept + "  request_log:" + rest.partition("  request_log:")[2])
    client = MlflowClient(uri, uri)
    client.create_registered_model(name)
    client.create_model_version(name, source=str(files), tags={DIGEST: digest(files)})


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("foreign")
    uri = new_database(folder)
    with mlflow_restored():
        register(folder, uri, "foreign", HOOK)
        register(folder, uri, "shipped", None)
        register(folder, uri, "other", HOOK_WITH_PROCESS)
        register(folder, uri, "ends", "import os\nos._exit(5)\n")
    return uri


@pytest.fixture(scope="module")
def server(registry: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerSettings]:
    state = tmp_path_factory.mktemp("foreign_server") / ".serving"
    settings = ServerSettings(PROJECT, state, registry, port=free_port(), model_seconds=MODEL_SECONDS)
    server_process.serve_detached(settings)
    yield settings
    server_process.stop(settings)


@pytest.fixture(scope="module")
def client(server: ServerSettings) -> WorkspaceClient:
    return endpoint_client.connect(server.url, read_token(server.token_file))


@pytest.fixture(scope="module")
def calls(server: ServerSettings, client: WorkspaceClient) -> Calls:
    endpoint_client.deploy(client, "foreign", "foreign", 1)
    return Calls(server, "foreign")


def beside_ordinary_requests(calls: Calls, amount: float) -> tuple[Answer, list[Answer]]:
    """The answers to a request with this amount and to 12 ordinary ones at the same time; `/live` is checked."""
    with ThreadPoolExecutor(14) as threads:
        special = threads.submit(calls.score, amount)
        ordinary = [threads.submit(calls.score, 1.5) for _ in range(12)]
        while not all(each.done() for each in (special, *ordinary)):
            status, seconds = calls.live()
            assert status == 200 and seconds < 1.0
            time.sleep(0.05)
        return special.result(), [each.result() for each in ordinary]


def processes_below(pid: int) -> set[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(child) for child in children} | {each for child in children for each in processes_below(int(child))}


@pytest.mark.parametrize("amount", [*FAILED, SLEEPS, HANGS], ids=[*FAILED.values(), "sleep(3)", "sleep(40)"])
def test_a_hook_that_fails_affects_no_other_caller(calls: Calls, server: ServerSettings, amount: int) -> None:
    before = server_process.running(server)
    assert before is not None
    process = worker_of(before.pid)
    (status, answer), ordinary = beside_ordinary_requests(calls, amount)
    assert [each[0] for each in ordinary] == [200] * 12, ordinary
    assert status == {SLEEPS: 200, HANGS: 504}.get(amount, 500)
    assert becomes_true(lambda: calls.metric("model_server_requests_in_flight") == 0, 10)
    assert calls.score(1.5)[0] == 200
    assert server_process.running(server) == before and worker_of(before.pid) == process, "the server runs on"
    if status == 500:
        assert not SECRETS.search(json.dumps(answer)), answer
        incident = answer["message"].rpartition(" ")[2].rstrip(".")
        line = next(line for line in server.log_file.read_text().splitlines() if f"incident {incident}" in line)
        assert "foreign version 1: " in json.loads(line)["exception"]


def test_the_log_explains_a_failure_with_its_traceback(calls: Calls, server: ServerSettings) -> None:
    calls.score(12)
    text = server.log_file.read_text()
    assert "cannot read /etc/secret/customers.csv" in text and "postprocess" in text + HOOK
    calls.score(8)
    assert "signal 11" in server.log_file.read_text()
    assert becomes_true(lambda: "Fatal Python error: Segmentation fault" in server.log_file.read_text(), 10)


def test_output_of_a_hook_is_in_the_log_as_json(calls: Calls, server: ServerSettings) -> None:
    assert calls.score(PRINTS)[0] == 200
    os.sync()
    for line in server.log_file.read_text().splitlines():
        assert json.loads(line)["message"]


def test_memory_that_a_hook_keeps_is_given_back(calls: Calls, server: ServerSettings) -> None:
    before = calls.metric("model_server_model_process_ends_total")
    for _ in range(6):
        (status, _), ordinary = beside_ordinary_requests(calls, KEEPS)
        assert status == 200 and [each[0] for each in ordinary] == [200] * 12
    assert calls.metric("model_server_model_process_ends_total") > before
    assert calls.metric("model_server_model_process_memory_bytes") < 4 * 900e6


def test_every_outcome_is_counted_under_its_version(calls: Calls, server: ServerSettings) -> None:
    def count(status: int) -> float:
        labels = f'endpoint="foreign",served_entity="foreign-1",status="{status}",version="1"'
        return calls.metric(f"model_server_request_seconds_count{{{labels}}}")

    calls.score(12)
    before = count(500)
    calls.score(12)
    calls.score(2)
    assert count(500) == before + 2
    assert count(200) > 0


def test_a_version_whose_code_ends_its_process_is_not_served(client: WorkspaceClient) -> None:
    with pytest.raises(waiting.DeploymentFailed, match="its process ended while it loaded: it exited with code 5"):
        endpoint_client.deploy(client, "ends", "ends", 1)


def test_the_processes_of_a_version_end_with_its_endpoint(client: WorkspaceClient, server: ServerSettings) -> None:
    running = server_process.running(server)
    assert running is not None
    endpoint_client.deploy(client, "other", "other", 1)
    process = int(Calls(server, "other").score(1.5)[1]["predictions"][0]["band"])
    assert process in processes_below(running.pid)
    client.serving_endpoints.delete("other")
    assert becomes_true(lambda: process not in processes_below(running.pid), 10)


def test_a_hook_that_the_server_ships_is_not_foreign(client: WorkspaceClient, server: ServerSettings) -> None:
    """Its text in the version is that of the server's own module, so it needs no process."""
    endpoint_client.deploy(client, "shipped", "shipped", 1)
    calls = Calls(server, "shipped")
    assert calls.score(1.5)[1]["predictions"][0]["band"] == "high"
    assert 'model_processes{endpoint="foreign"' in calls.metrics()
    assert 'model_processes{endpoint="shipped"' not in calls.metrics()


def test_a_model_process_ends_with_the_server(calls: Calls, server: ServerSettings) -> None:
    """Also while its code hangs, and although nobody asked it to end."""
    running = server_process.running(server)
    assert running is not None
    with ThreadPoolExecutor(1) as threads:
        hanging = threads.submit(calls.score, HANGS)
        time.sleep(0.5)
        before = processes_below(running.pid)
        worker = worker_of(running.pid)
        os.kill(worker, signal.SIGKILL)
        assert isinstance(hanging.exception(30), OSError)
    for process in before - {worker}:
        assert becomes_true(lambda process=process: not Path(f"/proc/{process}").exists(), 10)  # type: ignore[misc]
    assert becomes_true(lambda: _scores(calls), 60), "the supervisor has started the server again"


def _scores(calls: Calls) -> bool:
    try:
        return calls.score(1.5)[0] == 200
    except OSError:
        return False
