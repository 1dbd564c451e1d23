"""The server as a process: in the foreground or detached, found again and stopped.

The state folder remembers the process by its number and its start time, so that a number which the system has given
to somebody else is never taken for the server.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from deployment.model_server.clock import SYSTEM, Clock
from deployment.model_server.ports import check_free, started_at
from deployment.model_server.settings import ServerSettings
from deployment.model_server.store import replace_file
from lakehouse.errors import LakehouseError

TICK = 0.05
LOG_BYTES = 10 * 1024 * 1024
_children: list[subprocess.Popen[bytes]] = []  # kept, so that a child that ended can be reaped


class AlreadyServing(LakehouseError):
    """The state folder belongs to a server that runs."""

    @classmethod
    def at(cls, server: "ServerInfo") -> "AlreadyServing":
        return cls(
            f"a model server is running already: process {server.pid} at {server.url}",
            hint="Use it, or stop it: python -m deployment.run stop",
        )


class ServerFailed(LakehouseError):
    """The detached server ended, or does not answer."""

    @classmethod
    def with_log(cls, failed: str, log: Path) -> "ServerFailed":
        lines = log.read_text("utf-8", errors="replace").splitlines()[-15:] if log.exists() else []
        return cls("\n    ".join([failed, *lines]), hint=f"Its whole log: {log}")


@dataclass(frozen=True)
class ServerInfo:
    """A server that runs, and where to find what it keeps."""

    url: str
    pid: int
    started: str
    token_file: Path
    log_file: Path


def serve(settings: ServerSettings) -> None:
    """Serve in this process until SIGINT or SIGTERM.

    Raises:
        AlreadyServing: a server with this state folder runs.
        PortTaken: somebody else listens there.
        LakehouseError: the token or the stored endpoints are unusable.
    """
    _check_startable(settings)
    from deployment.model_server.listener import listen

    settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _only_one(settings):
        info = _this_process(settings)
        replace_file(settings.process_file, json.dumps(asdict(info), default=str))
        try:
            listen(settings)
        finally:
            settings.process_file.unlink(missing_ok=True)


def serve_detached(settings: ServerSettings, *, seconds: float = 60.0, clock: Clock = SYSTEM) -> ServerInfo:
    """Start a server that outlives this process, and return when it answers.

    Raises:
        AlreadyServing: a server with this state folder runs.
        PortTaken: somebody else listens there.
        ServerFailed: it ended or did not answer within `seconds`; the end of its log is in the message.
    """
    _check_startable(settings)
    child = _spawn(settings)
    deadline = clock.time() + seconds
    while clock.time() < deadline:
        if (code := child.poll()) is not None:
            raise ServerFailed.with_log(f"the model server ended with {code} at its start:", settings.log_file)
        server = running(settings)
        if server and server.pid == child.pid and _healthy(server.url):
            return server
        clock.sleep(TICK)
    child.kill()
    child.wait()
    raise ServerFailed.with_log(f"the model server did not answer within {seconds:g} s:", settings.log_file)


def running(settings: ServerSettings) -> ServerInfo | None:
    """The server of a state folder, if it runs."""
    server = _recorded(settings)
    return server if server and started_at(server.pid) == server.started else None


def stop(settings: ServerSettings, *, seconds: float = 15.0, clock: Clock = SYSTEM) -> bool:
    """End the server of a state folder, by force after `seconds`; whether there was one."""
    server = running(settings)
    if server is not None:
        _end(server, seconds, clock)
    for child in _children:
        child.poll()
    settings.process_file.unlink(missing_ok=True)
    return server is not None


def _end(server: ServerInfo, seconds: float, clock: Clock) -> None:
    os.kill(server.pid, signal.SIGTERM)
    deadline = clock.time() + seconds
    while started_at(server.pid) == server.started:
        if clock.time() >= deadline:
            os.kill(server.pid, signal.SIGKILL)
            deadline = float("inf")
        clock.sleep(TICK)


def _check_startable(settings: ServerSettings) -> None:
    if server := running(settings):
        raise AlreadyServing.at(server)
    check_free(settings.host, settings.port)


@contextmanager
def _only_one(settings: ServerSettings) -> Iterator[None]:
    """Of two servers that start at once with one state folder, the second is refused."""
    with settings.process_file.with_name("lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise LakehouseError(
                f"another model server is starting with the state in {settings.state}",
                hint="See whether it runs: python -m deployment.run status",
            ) from err
        yield


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".old.log"))


def _spawn(settings: ServerSettings) -> subprocess.Popen[bytes]:
    # The settings go through a pipe: a tracking URI can hold a password, and arguments are for all to see.
    settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    _rotate(settings.log_file)
    with settings.log_file.open("ab") as log:
        settings.log_file.chmod(0o600)
        child = subprocess.Popen(
            [sys.executable, "-m", "deployment.model_server"],
            cwd=settings.project, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    _children.append(child)
    if child.stdin:
        child.stdin.write(json.dumps(settings.as_json()).encode())
        child.stdin.close()
    return child


def _this_process(settings: ServerSettings) -> ServerInfo:
    started = started_at(os.getpid()) or ""
    return ServerInfo(settings.url, os.getpid(), started, settings.token_file, settings.log_file)


def _recorded(settings: ServerSettings) -> ServerInfo | None:
    try:
        values = json.loads(settings.process_file.read_text("utf-8"))
        paths = {name: Path(values[name]) for name in ("token_file", "log_file")}
        return ServerInfo(**values | paths)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _healthy(url: str) -> bool:
    # An opener of its own: a proxy has no part in a conversation with this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
