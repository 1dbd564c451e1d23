"""A workspace that refuses, is silent or fails: `doctor --online` says so within seconds."""

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from databricks.sdk.core import Config
from mlflow.environment_variables import MLFLOW_DATABRICKS_ENDPOINT_HTTP_RETRY_TIMEOUT, MLFLOW_HTTP_REQUEST_TIMEOUT
from requests import ConnectTimeout

from deployment.commands.doctor import network
from deployment.commands.doctor.command import CHECKS, Examination, settings_of
from deployment.commands.doctor.finding import Finding, Severity
from lakehouse.errors import LakehouseError


@pytest.fixture(params=["refused", "silent"])
def dead(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """A host where no server responds, and the reason."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        if request.param == "silent":
            listener.listen()  # connects, and never answers
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        yield address, "Connection refused" if request.param == "refused" else "no answer in 0.2 s"


@pytest.fixture
def workspace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """Variables of a workspace whose host the test sets."""
    for name in [name for name in os.environ if name.startswith(("DATABRICKS_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("DATABRICKS_TOKEN", "a-token")
    monkeypatch.setenv("DATABRICKS_AUTH_TYPE", "pat")
    monkeypatch.setattr(network, "ANSWER_SECONDS", 0.2)
    yield monkeypatch


def online(area: str) -> Finding:
    """The last finding of an area, or the error of its check."""
    try:
        return CHECKS["databricks"][area](Examination("databricks", settings_of("databricks"), online=True))[-1]
    except LakehouseError as err:
        return Finding(area, Severity.ERROR, f"{err.failed}.", err.hint)


@pytest.mark.parametrize("area", ["workspace", "registry"])
def test_a_host_without_an_answer_is_an_error_before_a_client_that_retries_is_made(
    workspace: pytest.MonkeyPatch, dead: tuple[str, str], area: str
) -> None:
    def retry_for_ten_minutes(*_: Any, **__: Any) -> None:
        raise AssertionError("a client that retries was made")

    host, reason = dead
    workspace.setenv("DATABRICKS_HOST", host)
    workspace.setattr(Config, "_resolve_host_metadata", retry_for_ten_minutes)
    found = online(area)
    assert (found.severity, found.message) == (Severity.ERROR, f"{host} does not respond: {reason}.")
    assert found.remedy is not None and f"curl --max-time 0.2 {host}" in found.remedy


def test_requests_to_a_workspace_are_bounded(workspace: pytest.MonkeyPatch, host: str) -> None:
    workspace.undo()
    workspace.setenv("DATABRICKS_HOST", host)
    workspace.setenv("DATABRICKS_TOKEN", "a-token")
    with network.workspace_client(host) as client:
        assert (client.config.http_timeout_seconds, client.config.retry_timeout_seconds) == (10, 20)
    for error in (TimeoutError("Timed out after 0:00:20"), ConnectTimeout("Timed out after 0:00:20")):
        match = "does not respond: Timed out after 0:00:20"
        with pytest.raises(network.NoAnswer, match=match), network.workspace_client(host):
            raise error


def test_requests_to_a_registry_are_bounded_unless_variables_bound_them(workspace: pytest.MonkeyPatch) -> None:
    workspace.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "3")
    with network.bounded_registry():
        assert MLFLOW_HTTP_REQUEST_TIMEOUT.get() == 3  # type: ignore[no-untyped-call]
        assert MLFLOW_DATABRICKS_ENDPOINT_HTTP_RETRY_TIMEOUT.get() == 20  # type: ignore[no-untyped-call]
    assert MLFLOW_HTTP_REQUEST_TIMEOUT.get() == 3  # type: ignore[no-untyped-call]
    assert not MLFLOW_DATABRICKS_ENDPOINT_HTTP_RETRY_TIMEOUT.is_set()  # type: ignore[no-untyped-call]


def test_the_host_of_a_registry_is_that_of_its_address_or_profile(
    workspace: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "none").write_text("[staging]\nhost = http://staging.example\n")
    workspace.setenv("DATABRICKS_HOST", "http://workspace.example")
    assert network.host_of_registry("databricks-uc") == "http://workspace.example"
    assert network.host_of_registry("https://mlflow.example:5000") == "https://mlflow.example:5000"
    assert network.host_of_registry("postgresql://db/mlflow") is None
    workspace.delenv("DATABRICKS_HOST")
    assert network.host_of_registry("databricks-uc://staging") == "http://staging.example"


def test_a_workspace_without_credentials_or_with_a_failure_is_an_error(
    workspace: pytest.MonkeyPatch, host: str
) -> None:
    workspace.setenv("DATABRICKS_HOST", host)
    workspace.delenv("DATABRICKS_TOKEN")
    found = online("workspace")
    assert found.severity is Severity.ERROR
    assert found.message.startswith(f"{host} answers, and the SDK has no credentials for it: ")
    workspace.setattr(network, "_DISCOVERY", "/failing")
    assert online("workspace").message == f"{host} does not respond: HTTP 503."
