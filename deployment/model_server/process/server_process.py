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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from deployment.model_server.clock import SYSTEM, Clock
from deployment.model_server.endpoints.store import replace_file
from deployment.model_server.http import tls
from deployment.model_server.process.json_log import log_as_json, told
from deployment.model_server.process.ports import check_free, started_at
from deployment.model_server.settings import ServerSettings
from lakehouse.errors import LakehouseError

TICK = 0.05
LOG_BYTES = 10 * 1024 * 1024
SECRET = frozenset({"MODEL_SERVER_TOKEN", "MODEL_SERVER_DATA_TOKEN"})
RECORDED = ("url", "pid", "started", "token_file", "log_file")
RunServer = Callable[[Callable[[], int]], int]
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
    def with_log(cls, failed: str, log: Path, since: int) -> "ServerFailed":
        """With the end of what was logged after the first `since` bytes, which an earlier server wrote."""
        said = log.read_bytes()[since:].decode("utf-8", errors="replace") if log.exists() else ""
        lines = said.splitlines()[-15:]
        return cls("\n    ".join([failed, *map(told, lines)]), hint=f"Its whole log: {log}")


@dataclass(frozen=True)
class ServerInfo:
    """A server that runs, and where to find what it keeps."""

    url: str
    pid: int
    started: str
    token_file: Path
    log_file: Path
    token: str | None = field(default=None, repr=False)
    authority: Path | None = None
    credentials: Path | None = None


def serve(settings: ServerSettings, *, to_file: bool = False, run: RunServer = lambda listening: listening()) -> int:
    """Serve in this process until SIGINT or SIGTERM; the log goes to standard error, or to the log file.

    Args:
        run: runs what serves, and passes its exit code on; see `keeper`.

    Raises:
        AlreadyServing: a server with this state folder runs.
        PortTaken: somebody else listens there.
        LakehouseError: the certificate, the token or the stored endpoints are unusable.
    """
    _check_startable(settings)
    settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _only_one(settings):
        info = _this_process(settings)
        log_as_json(settings, settings.log_file if to_file else None)
        replace_file(settings.process_file, json.dumps({name: str(getattr(info, name)) for name in RECORDED}))
        try:
            return run(lambda: _listen(settings))
        finally:
            settings.process_file.unlink(missing_ok=True)


def _listen(settings: ServerSettings) -> int:
    from deployment.model_server.process.listener import listen

    listen(settings)
    return 0


def serve_detached(settings: ServerSettings, *, seconds: float = 60.0, clock: Clock = SYSTEM) -> ServerInfo:
    """Start a server that outlives this process, and return when it answers.

    Raises:
        AlreadyServing: a server with this state folder runs.
        PortTaken: somebody else listens there.
        ServerFailed: it ended or did not answer within `seconds`; the end of its log is in the message.
    """
    _check_startable(settings)
    child, logged = _spawn(settings)
    deadline = clock.time() + seconds
    while clock.time() < deadline:
        if (code := child.poll()) is not None:
            failed = f"the model server ended with {code} at its start:"
            raise ServerFailed.with_log(failed, settings.log_file, logged)
        server = running(settings)
        if server and server.pid == child.pid and healthy(server):
            return server
        clock.sleep(TICK)
    _kill(child.pid)
    child.wait()
    raise ServerFailed.with_log(f"the model server did not answer within {seconds:g} s:", settings.log_file, logged)


def running(settings: ServerSettings) -> ServerInfo | None:
    """The server of a state folder, if it runs."""
    server = _recorded(settings)
    if server is None or started_at(server.pid) != server.started:
        return None
    given = settings.serving
    return replace(server, token=given.token, authority=settings.authority, credentials=given.credentials)


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
            _kill(server.pid)
            deadline = float("inf")
        clock.sleep(TICK)


def _kill(pid: int) -> None:
    """End a process by force, and of a detached server also what it keeps running."""
    if os.getpgid(pid) == pid:
        os.killpg(pid, signal.SIGKILL)
    else:
        os.kill(pid, signal.SIGKILL)


def _check_startable(settings: ServerSettings) -> None:
    if server := running(settings):
        raise AlreadyServing.at(server)
    if settings.serving.certificate and settings.serving.key and settings.authority:
        tls.check_identity(settings.serving.certificate, settings.serving.key)
        tls.trusting(settings.authority)
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


def _spawn(settings: ServerSettings) -> tuple[subprocess.Popen[bytes], int]:
    """The process, and how many bytes its log had before."""
    # The settings go through a pipe: a tracking URI can hold a password, and arguments are for all to see.
    settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    _rotate(settings.log_file)
    with settings.log_file.open("ab") as log:
        logged = log.tell()
        settings.log_file.chmod(0o600)
        child = subprocess.Popen(
            [sys.executable, "-m", "deployment.model_server"],
            cwd=settings.project, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True,
            env={name: value for name, value in os.environ.items() if name not in SECRET},
        )  # fmt: skip
    _children.append(child)
    if child.stdin:
        child.stdin.write(json.dumps(settings.as_json()).encode())
        child.stdin.close()
    return child, logged


def _this_process(settings: ServerSettings) -> ServerInfo:
    started = started_at(os.getpid()) or ""
    return ServerInfo(settings.url, os.getpid(), started, settings.token_file, settings.log_file)


def _recorded(settings: ServerSettings) -> ServerInfo | None:
    try:
        values = json.loads(settings.process_file.read_text("utf-8"))
        paths = {name: Path(values[name]) for name in ("token_file", "log_file")}
        return ServerInfo(**values | paths | {"pid": int(values["pid"])})
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def healthy(server: ServerInfo) -> bool:
    """Whether it answers."""
    # An opener of its own: a proxy has no part in a conversation with this machine.
    secure = [urllib.request.HTTPSHandler(context=tls.trusting(server.authority))] if server.authority else []
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), *secure)
    try:
        with opener.open(f"{server.url}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
