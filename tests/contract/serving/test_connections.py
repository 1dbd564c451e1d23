"""Idle and slow connections to a real server, with the usual limit on open files and with a low one."""

import json
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from deployment.endpoints import endpoint_client
from deployment.model_server.http.auth import read_token
from deployment.model_server.http.connections import connections_within
from deployment.model_server.process import server_process
from deployment.model_server.settings import ServerSettings
from lakehouse.settings import PROJECT
from tests.ports import free_port

INCOMPLETE = b"GET /live HTTP/1.1\r\nHost: x\r\nX-More: "
LOW_LIMIT = 600
START = """
import json, resource, sys
from deployment.model_server.process import server_process
from deployment.model_server.settings import ServerSettings
resource.setrlimit(resource.RLIMIT_NOFILE, (256, {limit}))
server_process.serve_detached(ServerSettings.from_json(json.load(sys.stdin)))
"""


@pytest.fixture(autouse=True)
def enough_files() -> Iterator[None]:
    """This process holds the other ends of the connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4096:
        pytest.skip(f"only {hard} open files are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def idle(server: ServerSettings, number: int, stack: ExitStack) -> list[socket.socket]:
    """Connections without a token whose headers never end."""
    made = []
    for _ in range(number):
        connection = stack.enter_context(socket.create_connection((server.host, server.port), timeout=20))
        connection.sendall(INCOMPLETE)
        made.append(connection)
    return made


def is_open(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True


def status(server: ServerSettings, request: bytes) -> bytes:
    with socket.create_connection((server.host, server.port), timeout=40) as connection:
        connection.sendall(request)
        return connection.recv(12)


LIVE = b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n"


def test_1100_idle_connections_without_a_token_block_nobody(server: ServerSettings) -> None:
    with ExitStack() as stack:
        waiting = idle(server, 1100, stack)
        assert status(server, LIVE) == b"HTTP/1.1 200"
        assert is_open(waiting[0]), "the answer came before the idle connections timed out"


def test_a_low_limit_on_open_files_leaves_files_for_models(tracking_uri: str, tmp_path: Path) -> None:
    settings = ServerSettings(PROJECT, tmp_path / ".serving", tracking_uri, port=free_port())
    starting = [sys.executable, "-c", START.format(limit=LOW_LIMIT)]
    subprocess.run(starting, input=json.dumps(settings.as_json()), text=True, check=True, cwd=PROJECT)
    try:
        client = endpoint_client.connect(settings.url, read_token(settings.token_file))
        with ExitStack() as stack:
            idle(settings, connections_within(LOW_LIMIT) - 20, stack)
            endpoint_client.deploy(client, "low", "term_deposit", 1)
            assert endpoint_client.predict(client, "low", [{"age": 50}])
        with ExitStack() as stack:
            idle(settings, LOW_LIMIT + 100, stack)  # the rest waits in the queue of the system
        assert endpoint_client.predict(client, "low", [{"age": 50}]), "the server outlives a flood"
        assert "the server accepts 344 connections instead of 8192" in settings.log_file.read_text()
    finally:
        server_process.stop(settings)


def test_an_unknown_caller_cannot_hold_a_connection_with_a_slow_body(server: ServerSettings) -> None:
    refused = (
        b"POST /serving-endpoints/e/invocations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer wrong\r\n"
        b"Content-Length: 100\r\n\r\n{"
    )
    with ExitStack() as stack:
        held = stack.enter_context(socket.create_connection((server.host, server.port), timeout=20))
        held.sendall(refused)
        known = stack.enter_context(socket.create_connection((server.host, server.port), timeout=40))
        token = read_token(server.data_token_file).encode()
        known.sendall(refused.replace(b"wrong", token))
        assert held.recv(12) == b"HTTP/1.1 403"
        assert is_open(known), "a caller with a token has 30 s for a body"
