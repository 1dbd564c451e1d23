"""Deployment to a real server, including swaps and failures under load."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config

from benchmarks.harness.changes import changes, check_responses, while_changing
from benchmarks.harness.load import count
from deployment.commands.serving.detached import serve_detached
from deployment.endpoints import endpoint_client, waiting
from deployment.endpoints.state import EndpointState
from deployment.model_server.http.auth import read_token
from deployment.model_server.process import server_process
from deployment.model_server.process.ports import started_at
from deployment.model_server.settings import ServerSettings
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings
from tests.ports import free_port

ROWS = [{"age": 50}]


def test_deploy_creates_or_updates_an_endpoint_and_returns_its_traffic(client: WorkspaceClient) -> None:
    first = endpoint_client.deploy(client, "deploy", "term_deposit", 1)
    assert first == EndpointState("deploy", 1, {1: 100})
    assert endpoint_client.deploy(client, "deploy", "term_deposit", 1) == first, (
        "a version already served is not loaded again"
    )
    assert endpoint_client.deploy(client, "deploy", "term_deposit", 2).traffic == {2: 100}
    assert endpoint_client.predict(client, "deploy", ROWS) == [{"version": 2, "probability": 0.5}]
    assert endpoint_client.shift(client, "deploy", "term_deposit", {2: 75, 1: 25}).traffic == {1: 25, 2: 75}
    assert endpoint_client.served_versions(client, "deploy") == {1: 25, 2: 75}
    versions = {endpoint_client.predict(client, "deploy", ROWS)[0]["version"] for _ in range(100)}
    assert versions == {1, 2}


def test_no_request_fails_while_an_endpoint_changes(client: WorkspaceClient, server: ServerSettings) -> None:
    endpoint_client.deploy(client, "changing", "term_deposit", 1)
    url = f"{server.url}/serving-endpoints/changing/invocations"
    headers = {"authorization": f"Bearer {read_token(server.data_token_file)}"}
    steps = changes(client, "changing", "term_deposit", 1, 2)
    body = {"dataframe_records": ROWS}
    responses, changes_made = asyncio.run(while_changing(steps, lambda turns: count(url, headers, body, turns, 4)))
    check_responses(responses, ["term_deposit-1", "term_deposit-2"])
    assert changes_made == dict.fromkeys(["canary", "shift", "swap", "scale", "rollback"], 1)
    assert endpoint_client.served_versions(client, "changing") == {1: 100}


@pytest.mark.parametrize(
    ("model", "version", "message"),
    [
        ("term_deposit", 3, "no weights"),
        ("refusing", 2, "the model refuses its own golden"),
        ("drifted", 2, "but .*'version': 1} when registered"),
    ],
)
def test_a_version_that_cannot_be_served_leaves_the_earlier_one(
    client: WorkspaceClient, model: str, version: int, message: str
) -> None:
    endpoint = f"broken-{model}"
    endpoint_client.deploy(client, endpoint, model, 1)
    with pytest.raises(waiting.DeploymentFailed, match=f"{model}-{version}: .*{message}"):
        endpoint_client.deploy(client, endpoint, model, version)
    assert endpoint_client.predict(client, endpoint, ROWS) == [{"version": 1, "probability": 0.5}]
    assert endpoint_client.served_versions(client, endpoint) == {1: 100}
    assert endpoint_client.deploy(client, endpoint, model, 1).traffic == {1: 100}


def test_an_endpoint_of_another_model_is_left_alone(client: WorkspaceClient) -> None:
    endpoint_client.deploy(client, "owned", "term_deposit", 1)
    with pytest.raises(endpoint_client.EndpointServesOtherModel, match="'owned' serves term_deposit, not only"):
        endpoint_client.deploy(client, "owned", "drifted", 1)
    assert endpoint_client.predict(client, "owned", ROWS) == [{"version": 1, "probability": 0.5}]


def test_a_missing_first_version_is_reported(client: WorkspaceClient) -> None:
    with pytest.raises(waiting.DeploymentFailed, match=r"version=77\) not found"):
        endpoint_client.deploy(client, "missing", "term_deposit", 77)
    with pytest.raises(endpoint_client.ServingRefused, match="not ready"):
        endpoint_client.predict(client, "missing", ROWS)


def test_a_rejected_request_names_row_and_field(client: WorkspaceClient) -> None:
    endpoint_client.deploy(client, "refusals", "term_deposit", 1)
    with pytest.raises(endpoint_client.ServingRefused, match="row 1, field 'age': expected a whole number, got '50'"):
        endpoint_client.predict(client, "refusals", [{"age": 50}, {"age": "50"}])
    with pytest.raises(endpoint_client.ServingRefused, match="does not exist"):
        endpoint_client.served_versions(client, "nowhere")


def test_a_restart_restores_the_endpoints(start: Callable[[], ServerSettings]) -> None:
    settings = start()
    client = endpoint_client.connect(settings.url, read_token(settings.token_file))
    endpoint_client.deploy(client, "restored", "term_deposit", 2)
    assert server_process.stop(settings) is True
    assert server_process.stop(settings) is False
    settings = start()
    client = endpoint_client.connect(settings.url, read_token(settings.token_file))
    assert endpoint_client.predict(client, "restored", ROWS) == [{"version": 2, "probability": 0.5}]
    assert endpoint_client.served_versions(client, "restored") == {2: 100}


def test_a_crashed_server_is_restarted(start: Callable[[], ServerSettings]) -> None:
    settings = start()
    client = endpoint_client.connect(settings.url, read_token(settings.token_file))
    endpoint_client.deploy(client, "crashing", "term_deposit", 2)
    before = server_process.running(settings)
    assert before
    os.kill(worker_of(before.pid), signal.SIGKILL)
    assert endpoint_client.predict(client, "crashing", ROWS) == [{"version": 2, "probability": 0.5}], "the SDK waits"
    assert server_process.running(settings) == before
    assert "signal 9 killed the server: restarting" in settings.log_file.read_text()
    worker = worker_of(before.pid)
    os.kill(before.pid, signal.SIGKILL)
    assert becomes_true(lambda: started_at(worker) is None), "the worker ends with its supervisor"


def worker_of(pid: int) -> int:
    """Worker process of a detached server."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())


def becomes_true(condition: Callable[[], object], seconds: float = 60) -> bool:
    """Return True if the condition becomes true in time."""
    deadline = time.monotonic() + seconds
    while not (held := bool(condition())) and time.monotonic() < deadline:
        time.sleep(0.01)
    return held


def test_a_second_detached_server_is_refused(server: ServerSettings, tmp_path: Path) -> None:
    running = server_process.running(server)
    assert running and running.url == server.url and running.log_file.is_file()
    assert read_token(running.token_file) not in Path(f"/proc/{running.pid}/cmdline").read_text()
    assert read_token(running.token_file) not in running.log_file.read_text()
    with pytest.raises(server_process.AlreadyServing, match=f"process {running.pid}"):
        server_process.serve_detached(server)
    elsewhere = ServerSettings(server.project, tmp_path, server.tracking_uri, port=server.port)
    with pytest.raises(LakehouseError, match=r"process \d+ .*uses the port"):
        server_process.serve_detached(elsewhere)


def test_a_running_server_is_reused_unless_another_port_is_requested(
    server: ServerSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = replace(Settings.from_environment(), project=server.state.parent)
    for port in (None, server.port):
        serve_detached(None, settings, port)
        assert f"ready at {server.url}" in capsys.readouterr().out
    with pytest.raises(server_process.AlreadyServing, match=f"at {server.url}"):
        serve_detached(None, settings, free_port())


def test_a_server_that_cannot_start_shows_its_log(server: ServerSettings, tmp_path: Path) -> None:
    damaged = ServerSettings(server.project, tmp_path, server.tracking_uri, port=free_port())
    damaged.endpoints_file.write_text("{")
    damaged.log_file.write_text("of an earlier server\n")
    with pytest.raises(server_process.ServerFailed, match=r"endpoints\.json cannot be read") as failed:
        server_process.serve_detached(damaged)
    assert "earlier" not in str(failed.value)
    assert server_process.running(damaged) is None


def test_environment_and_profiles_do_not_affect_a_local_connection(
    server: ServerSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for attribute in Config.attributes():
        if attribute.env:
            monkeypatch.setenv(attribute.env, "7")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".databrickscfg").write_text("[DEFAULT]\nhost = https://elsewhere.invalid\ntoken = other\n")
    client = endpoint_client.connect(server.url, read_token(server.token_file))
    assert isinstance(list(client.serving_endpoints.list()), list)


def test_a_server_that_is_down_is_reported_at_once() -> None:
    with pytest.raises(endpoint_client.ServingUnreachable, match=r"deployment\.run serve --detach"):
        endpoint_client.connect("http://127.0.0.1:9", "token")
