"""The server process: start in the foreground or detached, find a running server, stop it.

The state folder records process number and start time. A reused process number is therefore never mistaken for the
server.
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

from pydantic import TypeAdapter, ValidationError

from deployment.model_server.clock import SYSTEM, Clock
from deployment.model_server.http import tls
from deployment.model_server.process.json_log import format_for_console, log_as_json
from deployment.model_server.process.ports import check_free, holder_of, started_at
from deployment.model_server.settings import ServerSettings, child_environment
from lakehouse.errors import LakehouseError
from lakehouse.whole_files import replace_file

POLL_SECONDS = 0.05
MAX_LOG_BYTES = 10 * 1024 * 1024
RECORDED_FIELDS = ("url", "pid", "started", "token_file", "log_file")
Listen = Callable[[Callable[[], None]], int]  # serves, calls its argument once it listens, returns the exit code
RunServer = Callable[[Listen], int]
_RECORD = TypeAdapter(dict[str, str])
_children: list[subprocess.Popen[bytes]] = []  # so that children that ended can be reaped


class AlreadyServing(LakehouseError):
    """A server with this state folder is running already."""

    @classmethod
    def at(cls, server: "ServerInfo") -> "AlreadyServing":
        return cls(
            f"a model server is running already: process {server.pid} at {server.url}",
            hint="Use that server, or stop it: python -m deployment.run stop",
        )


class ServerFailed(LakehouseError):
    """The detached server ended or does not respond."""

    @classmethod
    def with_log(cls, failed: str, log: Path, since: int) -> "ServerFailed":
        """Add the last log lines. The first `since` bytes of the log are from an earlier server."""
        text = log.read_bytes()[since:].decode("utf-8", errors="replace") if log.exists() else ""
        lines = text.splitlines()[-15:]
        return cls("\n    ".join([failed, *map(format_for_console, lines)]), hint=f"See the complete log: {log}")


@dataclass(frozen=True)
class ServerInfo:
    """A running server: its address, process and files."""

    url: str
    pid: int
    started: str
    token_file: Path
    log_file: Path
    token: str | None = field(default=None, repr=False)
    authority: Path | None = None
    credentials: Path | None = None


def serve(
    settings: ServerSettings, *, to_file: bool = False, run: RunServer = lambda listen: listen(lambda: None)
) -> int:
    """Serve in this process until SIGINT or SIGTERM. The log goes to standard error or to the log file.

    Args:
        run: calls the function that serves and returns its exit code; see `supervisor.supervise`.

    Raises:
        AlreadyServing: a server with this state folder is running.
        PortTaken: another process uses the port.
        LakehouseError: the certificate, the token or the stored endpoints are unusable.
    """
    _check_startable(settings)
    settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _exclusive(settings):
        info = _this_process(settings)
        log_as_json(settings, settings.log_file if to_file else None)
        recorded = json.dumps({name: str(getattr(info, name)) for name in RECORDED_FIELDS})
        replace_file(settings.process_file, recorded, private=True)
        try:
            return run(lambda started: _listen(settings, started))
        finally:
            settings.process_file.unlink(missing_ok=True)


def _listen(settings: ServerSettings, started: Callable[[], None]) -> int:
    from deployment.model_server.process.listener import listen

    listen(settings, started)
    return 0


def serve_detached(settings: ServerSettings, *, seconds: float = 60.0, clock: Clock = SYSTEM) -> ServerInfo:
    """Start a server that outlives this process, and wait until it responds.

    Raises:
        AlreadyServing: a server with this state folder is running.
        PortTaken: another process uses the port.
        ServerFailed: it ended or did not respond within `seconds`; the message has the end of its log.
    """
    _check_startable(settings)
    child, log_start = _spawn(settings)
    deadline = clock.time() + seconds
    while clock.time() < deadline:
        if (code := child.poll()) is not None:
            failed = f"the model server ended with exit code {code} during its start:"
            raise ServerFailed.with_log(failed, settings.log_file, log_start)
        server = running(settings)
        if server and server.pid == child.pid and healthy(server):
            return server
        clock.sleep(POLL_SECONDS)
    _kill(child.pid)
    child.wait()
    failed = f"the model server did not respond within {seconds:g} s:"
    raise ServerFailed.with_log(failed, settings.log_file, log_start)


def running(settings: ServerSettings) -> ServerInfo | None:
    """The running server of a state folder, if any."""
    server = _recorded(settings)
    if server is None or started_at(server.pid) != server.started:
        return None
    access = settings.serving
    return replace(server, token=access.token, authority=settings.authority, credentials=access.credentials)


def stop(settings: ServerSettings, *, seconds: float = 15.0, clock: Clock = SYSTEM) -> bool:
    """Stop the server of a state folder, by SIGKILL after `seconds`. Return True if one was running."""
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
        clock.sleep(POLL_SECONDS)


def _kill(pid: int) -> None:
    """Kill a process; of a detached server, also the child that its supervisor runs."""
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
def _exclusive(settings: ServerSettings) -> Iterator[None]:
    """Lock the state folder, so that a second server that starts at the same time fails."""
    with settings.process_file.with_name("lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise LakehouseError(
                f"another model server is starting with the state folder {settings.state}",
                hint="Show its state: python -m deployment.run status",
            ) from err
        yield


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > MAX_LOG_BYTES:
        log.replace(log.with_suffix(".old.log"))


def _spawn(settings: ServerSettings) -> tuple[subprocess.Popen[bytes], int]:
    """Start the process. Return it with the size of its log file before the start."""
    # The settings go through a pipe: a tracking URI can contain a password, and every user can see arguments.
    settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    _rotate(settings.log_file)
    with settings.log_file.open("ab") as log:
        log_start = log.tell()
        settings.log_file.chmod(0o600)
        child = subprocess.Popen(
            [sys.executable, "-m", "deployment.model_server"],
            cwd=settings.project, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True,
            env=child_environment(),
        )  # fmt: skip
    _children.append(child)
    if child.stdin:
        child.stdin.write(json.dumps(settings.as_json()).encode())
        child.stdin.close()
    return child, log_start


def _this_process(settings: ServerSettings) -> ServerInfo:
    started = started_at(os.getpid()) or ""
    return ServerInfo(settings.url, os.getpid(), started, settings.token_file, settings.log_file)


def _recorded(settings: ServerSettings) -> ServerInfo | None:
    try:
        values = _RECORD.validate_json(settings.process_file.read_bytes())
        files = Path(values["token_file"]), Path(values["log_file"])
        return ServerInfo(values["url"], int(values["pid"]), values["started"], *files)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError) as err:
        reason = err.errors(include_url=False)[0]["msg"] if isinstance(err, ValidationError) else repr(err)
        holder = holder_of(settings.port)
        raise LakehouseError(
            f"{settings.process_file}, the record of the running server, cannot be read: {reason}",
            hint=f"Port {settings.port} is {f'used by process {holder}' if holder else 'free'}. End the server if it "
            "still runs, delete the file, and start again: python -m deployment.run serve --detach",
        ) from err


def healthy(server: ServerInfo) -> bool:
    """True if the server responds to /health."""
    # A new opener without proxies: the request stays on this machine.
    secure = [urllib.request.HTTPSHandler(context=tls.trusting(server.authority))] if server.authority else []
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), *secure)
    try:
        with opener.open(f"{server.url}/health", timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False
