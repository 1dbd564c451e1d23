"""`serve` takes the next free port if nobody asked for an address, and says so."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deployment.commands.serving.address import settings_to_serve
from deployment.model_server.process import ports
from deployment.model_server.process.ports import PortTaken
from deployment.model_server.process.server_process import serve_detached
from lakehouse import console
from lakehouse.settings import Settings


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines = list[str]()
    monkeypatch.setattr(console, "detail", lines.append)
    return lines


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    """Settings whose port another program holds."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        server = f"http://127.0.0.1:{listening.getsockname()[1]}"
        default = Settings.from_environment({})
        yield replace(default, project=tmp_path, server=server)


def port_of(settings: Settings) -> int:
    return int(settings.server.rpartition(":")[2])


def test_without_an_address_the_next_free_port_is_taken_and_named(settings: Settings, said: list[str]) -> None:
    assert settings.any_port
    chosen = settings_to_serve(settings, None, 0).port
    taken = port_of(settings)
    assert taken < chosen <= taken + ports.PORTS_TRIED
    (line,) = said
    assert f"127.0.0.1:{taken}: process " in line
    assert f"takes port {chosen} instead; MODEL_SERVER" in line


def test_a_free_port_is_kept_without_a_word(settings: Settings, said: list[str]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    assert settings_to_serve(replace(settings, server=f"http://127.0.0.1:{free}"), None, 0).port == free
    assert said == []


@pytest.mark.parametrize("by", ["--port", "MODEL_SERVER"])
def test_an_address_that_was_asked_for_is_never_replaced(settings: Settings, said: list[str], by: str) -> None:
    asked = replace(settings, any_port=by == "--port")
    server = settings_to_serve(asked, port_of(settings) if by == "--port" else None, 0)
    with pytest.raises(PortTaken, match=f"127.0.0.1:{port_of(settings)}"):
        serve_detached(server)
    assert said == []


def test_no_free_port_is_an_error(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "PORTS_TRIED", 0)
    with pytest.raises(PortTaken):
        settings_to_serve(settings, None, 0)


def test_the_address_counts_as_asked_for_if_the_variable_is_set() -> None:
    assert not Settings.from_environment({"MODEL_SERVER": "http://127.0.0.1:8080"}).any_port
    assert Settings.from_environment({}).any_port
