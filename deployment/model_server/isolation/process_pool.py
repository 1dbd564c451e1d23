"""The model processes of one version: at least one, up to four while requests wait, each with one request at a time.

So it is always known which request ended a process or took too long, and no other request ends with it.
"""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from deployment.model_server.isolation.frames import Reply
from deployment.model_server.isolation.model_process import (
    LoadFailedInProcess,
    ModelProcess,
    ProcessEnded,
    ProcessSpec,
)
from deployment.model_server.isolation.threads import in_daemon_thread

LOG = logging.getLogger(__name__)
MAX_PROCESSES = 4  # concurrent requests of the workload size Small on Databricks
MAX_WAITING = 128  # half of the server's requests in flight, so that other endpoints have room
GROW_AFTER = 0.05  # seconds that a request waits before another process starts
IDLE_SECONDS = 60.0  # until a process that is not needed ends; one always stays
FIRST_PAUSE, MAX_PAUSE = 0.5, 30.0  # before a start, after processes have ended without a reply in between
PATIENCE = 5.0  # a longer pause without any process refuses requests at once
GROWTH = 0.25  # share of the allowed memory by which a process may have grown before it is replaced


class PoolBusy(Exception):
    """Too many requests wait for this version."""


class NoProcess(Exception):
    """The version has no process now; `seconds` until the next start."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no process for {seconds:g} s")
        self.seconds = seconds


@dataclass(frozen=True)
class PoolStatistics:
    """Processes of a version: how many, their memory in bytes, and how many ended early, by reason."""

    processes: int
    memory: int
    ended: dict[str, int]


class ProcessPool:
    """Starts, uses and ends the processes of a version. All methods but `start` and `close` run on the event loop."""

    def __init__(
        self, spec: ProcessSpec, first: ModelProcess, minimum: int = 1, maximum: int = MAX_PROCESSES
    ) -> None:
        """`first` is a process that has loaded the version; the others start with the first request."""
        self._spec = spec
        self._minimum, self._maximum = minimum, maximum
        self._idle: list[tuple[ModelProcess, float]] = [(first, time.monotonic())]
        self._processes = {first}
        self._waiting: deque[tuple[asyncio.Future[ModelProcess], float]] = deque()
        self._starting = 0
        self._failures = 0
        self._start_at = 0.0
        self._growing: asyncio.TimerHandle | None = None
        self._shrinking: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = Counter[str]({"crash": 0, "deadline": 0, "memory": 0})
        self._closed = False

    @property
    def statistics(self) -> PoolStatistics:
        memory = sum(process.memory for process in self._processes)
        return PoolStatistics(len(self._processes), memory, dict(self._ended))

    async def ask(self, request: object) -> Reply:
        """Send a request to a process. A caller that stops waiting ends the process that works on its request.

        Raises:
            PoolBusy: too many requests wait.
            NoProcess: no process runs, and none will start soon.
            ProcessEnded: the process ended without a reply.
        """
        process = await self._acquire()
        if len(self._processes) < self._minimum:
            self._grow()
        try:
            reply = await process.ask(request)
        except ProcessEnded:
            self._lost(process, "crash")
            raise
        except BaseException:
            self._lost(process, "deadline")
            raise
        self._failures = 0
        if process.memory - process.loaded_memory > GROWTH * self._spec.memory:
            LOG.warning(
                "%s: a process grew from %d to %d MiB and is replaced",
                self._spec.title, process.loaded_memory >> 20, process.memory >> 20,
            )  # fmt: skip
            self._lost(process, "memory")
        else:
            self._release(process)
        return reply

    def close(self) -> None:
        """End every process. Safe to call from any thread, once no request uses the version any more."""
        self._closed = True
        for process in list(self._processes):
            process.kill()

    async def _acquire(self) -> ModelProcess:
        while self._idle:
            process, _ = self._idle.pop()
            if process.running:
                return process
            self._lost(process, "crash")
        if len(self._waiting) >= MAX_WAITING:
            raise PoolBusy
        pause = self._start_at - time.monotonic()
        if not self._processes and pause > PATIENCE:
            raise NoProcess(pause)
        future: asyncio.Future[ModelProcess] = asyncio.get_running_loop().create_future()
        self._waiting.append((future, time.monotonic()))
        self._grow()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():  # handed over in the same moment
                self._release(future.result())
            raise

    def _release(self, process: ModelProcess) -> None:
        if not process.running:
            self._lost(process, "crash")
            return
        while self._waiting:
            future, _ = self._waiting.popleft()
            if not future.done():
                future.set_result(process)
                return
        self._idle.append((process, time.monotonic()))
        if len(self._processes) > self._minimum and self._shrinking is None:
            self._shrinking = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._shrink)

    def _lost(self, process: ModelProcess, reason: str) -> None:
        """Forget a process that has ended or must end, and start another if it was the last or requests wait."""
        self._ended[reason] += 1
        self._failures += reason != "memory"
        self._end(process)
        self._grow()

    def _end(self, process: ModelProcess) -> None:
        self._processes.discard(process)
        self._run(in_daemon_thread(process.kill))

    def _grow(self) -> None:
        """Start a process if too few run, or if the oldest request has waited long enough; else look again later."""
        while self._waiting and self._waiting[0][0].done():
            self._waiting.popleft()
        if self._closed or self._starting:
            return
        if len(self._processes) < self._minimum:
            self._begin_start()
        elif self._waiting and len(self._processes) < self._maximum:
            remaining = self._waiting[0][1] + GROW_AFTER - time.monotonic()
            if remaining <= 0:
                self._begin_start()
            elif self._growing is None:
                self._growing = asyncio.get_running_loop().call_later(remaining, self._look_again)

    def _look_again(self) -> None:
        self._growing = None
        self._grow()

    def _begin_start(self) -> None:
        pause = min(FIRST_PAUSE * 2 ** min(self._failures - 2, 16), MAX_PAUSE) if self._failures > 1 else 0.0
        self._start_at = time.monotonic() + pause
        self._starting += 1
        self._run(self._start(pause))

    async def _start(self, pause: float) -> None:
        process = None
        try:
            await asyncio.sleep(pause)
            process = await in_daemon_thread(lambda: ModelProcess.start(self._spec))
        except (ProcessEnded, LoadFailedInProcess, OSError) as err:
            self._failures += 1
            LOG.warning("%s: a process did not start: %s", self._spec.title, err)
        finally:
            self._starting -= 1
        if process is not None and self._closed:
            await in_daemon_thread(process.kill)
        elif process is not None:
            self._processes.add(process)
            self._release(process)
        self._grow()

    def _shrink(self) -> None:
        """End the processes beyond the minimum that no request has needed for a while."""
        self._shrinking = None
        before = time.monotonic() - IDLE_SECONDS
        while len(self._processes) > self._minimum and self._idle and self._idle[0][1] < before:
            self._end(self._idle.pop(0)[0])
        if len(self._processes) > self._minimum:
            self._shrinking = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._shrink)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
