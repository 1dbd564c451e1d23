"""Runs trials in processes of this machine, which share the data and can be killed one by one."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from pathlib import Path
from time import monotonic

from lakehouse.errors import LakehouseError
from lakehouse.process_memory import MEASURED
from training.search.executors import Executor, mapped_pickle
from training.search.executors.search_folder import SearchFolder
from training.search.executors.worker import Defect, Ready, WorkerMessage
from training.search.trial import EarlyStop, Trial, TrialSpec

MAX_STDERR = 2000  # characters of a worker's last output
KILLED, OUT_OF_MEMORY = -signal.SIGKILL, "bad_alloc"


class WorkerFailed(LakehouseError):
    """A worker process failed, and not only its trial."""

    @classmethod
    def to_start(cls, code: int, stderr: str) -> "WorkerFailed":
        return cls(f"a worker exited with code {code} before its first trial:\n{stderr}")

    @classmethod
    def by_defect(cls, number: int, text: str) -> "WorkerFailed":
        return cls(f"trial {number} raised an unexpected error in its worker:\n{text}")

    @classmethod
    def unlimited(cls) -> "WorkerFailed":
        return cls("trial_memory_mb needs Linux: it reads the memory of a process from /proc", hint="Leave it out.")


class Worker:
    """One worker process, and its current trial.

    Attributes:
        spec: the current trial; None while the worker loads the data, and between trials.
        ready: True after the worker has loaded the data.
    """

    def __init__(self, data: Path, memory: int | None, threads: int) -> None:
        ours, theirs = socket.socketpair()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  (closed by `end`)
        command = [sys.executable, "-m", "training.search.executors", str(theirs.fileno()), str(data)]
        self._process = subprocess.Popen(
            [*command, "" if memory is None else str(memory)],
            env={**_threads(threads), **os.environ},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
            start_new_session=True,  # Ctrl-C reaches this process, and not the worker
        )
        theirs.close()
        self.connection = Connection(ours.detach())
        self.pid = self._process.pid
        self.ready, self.spec = False, None
        self._start = monotonic()

    spec: TrialSpec | None

    @property
    def seconds(self) -> float:
        """Seconds since the current trial started."""
        return monotonic() - self._start

    def begin(self, spec: TrialSpec) -> None:
        self.spec, self._start = spec, monotonic()
        self.connection.send(spec)

    def end(self) -> tuple[int, str]:
        """Kill the process; return its exit code and the end of its stderr."""
        if self._process.poll() is None:
            self._process.kill()
        code = self._process.wait()
        self.connection.close()
        with self._stderr as file:
            file.seek(0)
            return code, file.read().decode(errors="replace")[-MAX_STDERR:].strip()


class Processes:
    """One process for each trial at once; all of them map the data from one file.

    A trial that exceeds its time or memory, or kills its process, is recorded as such, and the process is replaced.

    Args:
        timeout: seconds that a trial may take; None: no limit.
        memory: MiB that a trial may take in addition to the data; None: no limit.

    Raises:
        WorkerFailed: a process does not start, or a trial raises an error that is not a failure of its candidate.
    """

    def __init__(
        self,
        attempt: Callable[[TrialSpec], Trial],
        parallelism: int,
        timeout: float | None = None,
        memory: int | None = None,
    ) -> None:
        if memory is not None and not MEASURED:
            raise WorkerFailed.unlimited()
        self._parallelism, self._timeout, self._memory = parallelism, timeout, memory
        self._folder = SearchFolder()
        self._data = Path(self._folder.name) / "attempt"
        mapped_pickle.write(attempt, self._data)
        self._waiting: deque[TrialSpec] = deque()
        self._workers: list[Worker] = []

    def submit(self, spec: TrialSpec) -> None:
        self._waiting.append(spec)

    def next(self, deadline: float | None) -> Trial | None:
        while deadline is None or monotonic() < deadline:
            self._assign()
            readable = wait([worker.connection for worker in self._workers], self._wait_seconds(deadline))
            for worker in [worker for worker in self._workers if worker.connection in readable]:
                if (trial := self._receive(worker)) is not None:
                    return trial
            for worker in self._workers:
                if worker.spec is not None and self._timeout is not None and worker.seconds > self._timeout:
                    return self._replace(worker, f"took longer than {self._timeout:g} s", "timeout")
        return None

    def close(self) -> None:
        self._waiting.clear()
        while self._workers:
            self._workers.pop().end()
        self._folder.cleanup()

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return [worker.pid for worker in self._workers]

    def _assign(self) -> None:
        busy = sum(worker.spec is not None for worker in self._workers)
        for _ in range(min(self._parallelism, busy + len(self._waiting)) - len(self._workers)):
            threads = max(1, (os.cpu_count() or 1) // self._parallelism)
            self._workers.append(Worker(self._data, self._memory, threads))
        for worker in self._workers:
            if worker.ready and worker.spec is None and self._waiting:
                worker.begin(self._waiting.popleft())

    def _wait_seconds(self, deadline: float | None) -> float | None:
        """Seconds until the next limit, or None."""
        limits = [] if deadline is None else [deadline - monotonic()]
        if self._timeout is not None:
            limits += [self._timeout - worker.seconds for worker in self._workers if worker.spec is not None]
        return max(0.0, min(limits)) if limits else None

    def _receive(self, worker: Worker) -> Trial | None:
        try:
            message: WorkerMessage = worker.connection.recv()
        except (EOFError, OSError):
            return self._record_exit(worker)
        spec, worker.spec = worker.spec, None
        if isinstance(message, Ready):
            worker.ready = True
            return None
        if isinstance(message, Defect):
            raise WorkerFailed.by_defect(spec.number if spec else 0, message.text)
        if message.status == "out_of_memory":
            self._drop(worker)  # it may not free its memory
        return message

    def _record_exit(self, worker: Worker) -> Trial:
        """Make the failed trial of a worker whose process exited."""
        spec, seconds = worker.spec, worker.seconds
        code, stderr = self._drop(worker)
        if spec is None:
            raise WorkerFailed.to_start(code, stderr)
        stopped: EarlyStop | None = "out_of_memory" if code == KILLED or OUT_OF_MEMORY in stderr else None
        last_line = stderr.splitlines()[-1] if stderr else "no output"
        return _failed(spec, seconds, f"process exited with code {code}: {last_line}", stopped)

    def _replace(self, worker: Worker, error: str, stopped: EarlyStop) -> Trial | None:
        spec, seconds = worker.spec, worker.seconds
        self._drop(worker)
        return None if spec is None else _failed(spec, seconds, error, stopped)

    def _drop(self, worker: Worker) -> tuple[int, str]:
        self._workers.remove(worker)
        return worker.end()


def _failed(spec: TrialSpec, seconds: float, error: str, stopped: EarlyStop | None) -> Trial:
    return Trial(spec.number, spec.candidate, {}, (), timedelta(seconds=seconds), error, stopped)


def _threads(count: int) -> dict[str, str]:
    """Environment variables of numerical libraries: the workers share the cores."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LOKY_MAX_CPU_COUNT")
    return dict.fromkeys(names, str(count))


_: type[Executor] = Processes
