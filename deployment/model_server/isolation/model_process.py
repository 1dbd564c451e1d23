"""A model process, as the server sees it: start, one request at a time, end."""

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any, Self

from deployment.model_server.isolation.frames import REPLY_HEADER, Reply, ReplyKind, message
from deployment.model_server.isolation.threads import in_daemon_thread
from deployment.model_server.settings import child_environment
from lakehouse.settings import PROJECT

LOG = logging.getLogger(__name__)
MODULE = "deployment.model_server.models.model_process"
START_SECONDS = 600.0  # a large model loads for minutes
EXIT_SECONDS = 5.0
_CHUNK = 256 * 1024
_LINES, _LINE_BYTES = 200, 8192  # of output, per second and per line


class ProcessEnded(Exception):
    """A model process ended without a reply; the message says how."""


class LoadFailedInProcess(Exception):
    """A version could not be loaded by a model process; `trace` is the traceback there."""

    def __init__(self, reason: str, trace: str) -> None:
        super().__init__(reason)
        self.trace = trace


@dataclass(frozen=True)
class ProcessSpec:
    """Everything that a model process needs to load its version.

    Attributes:
        title: name and version, for messages.
        version: JSON values for the module that loads the version.
        memory: bytes that the process may allocate beyond those of the loaded version.
    """

    title: str
    version: Mapping[str, Any]
    memory: int


class ModelProcess:
    """A running model process that has loaded its version. It handles one request at a time.

    Attributes:
        description: JSON object from the process about the version.
        memory: resident memory in bytes after the latest reply.
        loaded_memory: resident memory after the version was loaded.
    """

    def __init__(self, spec: ProcessSpec) -> None:
        """Start the process; `load` waits until it has loaded its version."""
        self._spec = spec
        ours, theirs = socket.socketpair()
        reading, self._lifeline = os.pipe()
        self._socket = ours
        self._process = subprocess.Popen(
            [sys.executable, "-m", MODULE, str(theirs.fileno()), str(reading)],
            cwd=PROJECT, env=child_environment(),
            pass_fds=[theirs.fileno(), reading], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C and the signals of the server's group do not reach it
        )  # fmt: skip
        theirs.close()
        os.close(reading)
        self.description: Mapping[str, Any] = {}
        self.memory = self.loaded_memory = 0
        assert self._process.stdout is not None  # noqa: S101  (a pipe)
        threading.Thread(target=_log_output, args=(spec.title, self._process.stdout), daemon=True).start()

    @classmethod
    def start(cls, spec: ProcessSpec, seconds: float = START_SECONDS) -> Self:
        """Start a process and wait until it has loaded its version.

        Raises:
            LoadFailedInProcess: the version cannot be loaded.
            ProcessEnded: the process ended while it loaded, or took longer than `seconds`.
        """
        process = cls(spec)
        try:
            process._load(time.monotonic() + seconds)
        except BaseException:
            process.kill()
            raise
        return process

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, request: Any) -> Reply:
        """Send a request and wait for the reply.

        Raises:
            ProcessEnded: the process ended without a reply.
        """
        loop = asyncio.get_running_loop()
        received = bytearray()
        try:
            await loop.sock_sendall(self._socket, message(request))
            while (found := _parsed(received)) is None:
                if not (chunk := await loop.sock_recv(self._socket, _CHUNK)):
                    raise ProcessEnded(await in_daemon_thread(self._ending))
                received += chunk
        except OSError as err:
            raise ProcessEnded(await in_daemon_thread(self._ending)) from err
        self.memory = found.memory
        return found

    def ask_blocking(self, request: Any, deadline: float) -> Reply:
        """`ask` without an event loop, until a time of `monotonic`."""
        received = bytearray()
        try:
            self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
            self._socket.sendall(message(request))
            while (found := _parsed(received)) is None:
                self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
                if not (chunk := self._socket.recv(_CHUNK)):
                    raise ProcessEnded(self._ending())
                received += chunk
        except TimeoutError as err:
            raise ProcessEnded("it did not reply in time") from err
        except OSError as err:
            raise ProcessEnded(self._ending()) from err
        finally:
            self._socket.setblocking(False)
        self.memory = found.memory
        return found

    def kill(self) -> None:
        """End the process and the processes that its code started, at once. Safe to call from any thread."""
        with suppress(ProcessLookupError, PermissionError):  # PermissionError: macOS, for a process that has ended
            os.killpg(self._process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(EXIT_SECONDS)
        self._socket.close()
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    def _load(self, deadline: float) -> None:
        found = self.ask_blocking({**self._spec.version, "memory": self._spec.memory}, deadline)
        self.description = json.loads(found.content)
        if found.kind is not ReplyKind.RESPONSE:
            raise LoadFailedInProcess(self.description["reason"], self.description["trace"])
        self.loaded_memory = found.memory

    def _ending(self) -> str:
        """The reason why the process ended; it has closed its socket, so it is ending."""
        try:
            code = self._process.wait(EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            return "it closed its connection"
        return f"signal {-code} ({signal.strsignal(-code)}) ended it" if code < 0 else f"it exited with code {code}"


def _parsed(received: bytearray) -> Reply | None:
    """The reply at the start of the received bytes, once it is complete."""
    if len(received) < REPLY_HEADER.size:
        return None
    kind, memory, size = REPLY_HEADER.unpack_from(received)
    if len(received) < REPLY_HEADER.size + size:
        return None
    return Reply(ReplyKind(kind), memory, bytes(received[REPLY_HEADER.size : REPLY_HEADER.size + size]))


def _log_output(title: str, output: IO[bytes]) -> None:
    """Log what foreign code prints. The pipe slows down a process that prints more than some lines a second."""
    lines = 0
    with output:
        while line := output.readline(_LINE_BYTES):
            LOG.info("%s: %s", title, line.decode("utf-8", errors="replace").rstrip())
            lines += 1
            if lines % _LINES == 0:
                time.sleep(1.0)
