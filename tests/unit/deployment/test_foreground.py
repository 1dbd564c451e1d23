"""A server in the foreground whose champion another process deploys."""

import queue
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployment.commands import deploy_when_ready
from deployment.commands.deploy_when_ready import deployed
from deployment.model_server.settings import ServerSettings
from lakehouse import console
from lakehouse.errors import LakehouseError


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    return ServerSettings(tmp_path, tmp_path / "state", "sqlite://", port=1)


@pytest.fixture
def told_to_end() -> Iterator[threading.Event]:
    """Set when this process gets the signal that ends a server."""
    told = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: told.set())
    yield told
    signal.signal(signal.SIGTERM, before)


def another_process(patch: pytest.MonkeyPatch, code: str) -> None:
    """Let this code deploy, on a server that answers."""
    patch.setattr(deploy_when_ready, "_answers", lambda _settings: True)
    patch.setattr(deploy_when_ready, "COMMAND", (sys.executable, "-c", code))


def test_what_is_served_is_told_once_it_is(settings: ServerSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    words = queue.SimpleQueue[str]()
    monkeypatch.setattr(console, "detail", words.put)
    another_process(monkeypatch, "import sys; print(f'{sys.argv[1]} serves version 1')")
    with deployed(settings, "churn"):
        assert words.get(timeout=30) == "churn serves version 1"


def test_a_champion_that_cannot_be_served_ends_the_server_and_says_why(
    settings: ServerSettings, monkeypatch: pytest.MonkeyPatch, told_to_end: threading.Event
) -> None:
    another_process(monkeypatch, "import sys; sys.exit('Error: churn has no champion')")
    with pytest.raises(LakehouseError, match=r"^churn has no champion$"), deployed(settings, "churn"):
        assert told_to_end.wait(30)


def test_a_server_that_ends_first_waits_for_no_deployment(
    settings: ServerSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    code = f"import pathlib, time; pathlib.Path({str(started)!r}).touch(); time.sleep(600)"
    another_process(monkeypatch, code)
    with deployed(settings, "churn"):
        while not started.exists():
            threading.Event().wait(0.01)


def test_a_server_that_never_answers_is_asked_nothing(
    settings: ServerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy_when_ready, "COMMAND", ("/nowhere",))
    with pytest.raises(ZeroDivisionError), deployed(settings, "churn"):
        raise ZeroDivisionError
