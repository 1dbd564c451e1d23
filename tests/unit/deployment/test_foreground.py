"""A server in the foreground; a child process deploys the champion."""

import queue
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployment.commands.serving import deploy_when_ready
from deployment.commands.serving.deploy_when_ready import deployed
from deployment.model_server.settings import ServerSettings
from lakehouse import console
from lakehouse.errors import LakehouseError


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    return ServerSettings(tmp_path, tmp_path / "state", "sqlite://", port=1)


@pytest.fixture
def terminated() -> Iterator[threading.Event]:
    """Event that is set when this process gets SIGTERM."""
    event = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: event.set())
    yield event
    signal.signal(signal.SIGTERM, before)


def set_child_code(patch: pytest.MonkeyPatch, code: str) -> None:
    """Run this code as the child process, with a server that is ready."""
    patch.setattr(deploy_when_ready, "_is_ready", lambda _settings: True)
    patch.setattr(deploy_when_ready, "COMMAND", (sys.executable, "-c", code))


def test_the_served_version_is_printed(settings: ServerSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = queue.SimpleQueue[str]()
    monkeypatch.setattr(console, "detail", lines.put)
    set_child_code(monkeypatch, "import sys; print(f'{sys.argv[1]} serves version 1')")
    with deployed(settings, "churn"):
        assert lines.get(timeout=30) == "churn serves version 1"


def test_a_failed_deployment_stops_the_server_with_its_message(
    settings: ServerSettings, monkeypatch: pytest.MonkeyPatch, terminated: threading.Event
) -> None:
    set_child_code(monkeypatch, "import sys; sys.exit('Error: churn has no champion')")
    with pytest.raises(LakehouseError, match=r"^churn has no champion$"), deployed(settings, "churn"):
        assert terminated.wait(30)


def test_a_server_that_stops_first_ends_the_child(
    settings: ServerSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    code = f"import pathlib, time; pathlib.Path({str(started)!r}).touch(); time.sleep(600)"
    set_child_code(monkeypatch, code)
    with deployed(settings, "churn"):
        while not started.exists():
            threading.Event().wait(0.01)


def test_a_server_that_never_becomes_ready_starts_no_child(
    settings: ServerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy_when_ready, "COMMAND", ("/nowhere",))
    with pytest.raises(ZeroDivisionError), deployed(settings, "churn"):
        raise ZeroDivisionError
