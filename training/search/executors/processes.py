"""Trials in processes of this machine, which share the data and can be ended one by one."""

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
from training.search.executors import Executor, mapped_pickle
from training.search.executors.worker import STATM, Defect, Ready, WorkerMessage
from training.search.trial import EarlyStop, Trial, TrialSpec

LAST_WORDS = 2000  # characters of what a worker wrote before it ended
KILLED, FULL = -signal.SIGKILL, "bad_alloc"


class WorkerFailed(LakehouseError):
    """A worker cannot begin its work."""

    @classmethod
    def to_start(cls, code: int, words: str) -> "WorkerFailed":
        return cls(f"a worker ended with {code} before its first trial:\n{words}")

    @classmethod
    def by_defect(cls, number: int, text: str) -> "WorkerFailed":
        return cls(f"trial {number} met a defect in its worker:\n{text}")

    @classmethod
    def unlimited(cls) -> "WorkerFailed":
        return cls("trial_memory_mb needs a Linux, whose /proc says what a process takes", hint="Leave it out.")


class Worker:
    """One process, and the task it is at.

    Attributes:
        task: None before it has the data and between tasks.
        ready: whether it has the data.
    """

    def __init__(self, data: Path, memory: int | None, threads: int) -> None:
        ours, theirs = socket.socketpair()
        self._words = tempfile.TemporaryFile()  # noqa: SIM115  (closed by `end`)
        command = [sys.executable, "-m", "training.search.executors", str(theirs.fileno()), str(data)]
        self._process = subprocess.Popen(
            [*command, "" if memory is None else str(memory)],
            env={**_threads(threads), **os.environ},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._words,
            start_new_session=True,  # Ctrl-C reaches us, and not it
        )
        theirs.close()
        self.connection = Connection(ours.detach())
        self.pid = self._process.pid
        self.ready, self.task = False, None
        self._began = monotonic()

    task: TrialSpec | None

    @property
    def seconds(self) -> float:
        """For how long it has been at its task."""
        return monotonic() - self._began

    def begin(self, task: TrialSpec) -> None:
        self.task, self._began = task, monotonic()
        self.connection.send(task)

    def end(self) -> tuple[int, str]:
        """Kill it; its exit code, and what it wrote last."""
        if self._process.poll() is None:
            self._process.kill()
        code = self._process.wait()
        self.connection.close()
        with self._words as file:
            file.seek(0)
            return code, file.read().decode(errors="replace")[-LAST_WORDS:].strip()


class Processes:
    """As many processes as there are trials at once; the data is in one file that all of them map.

    A trial that takes too long, or too much memory, or its process down with it, is recorded as such; the process is
    replaced.

    Args:
        timeout: seconds that a trial may take; None: any.
        memory: MiB that a trial may take beside the data; None: any.

    Raises:
        WorkerFailed: a process cannot begin, or a trial meets a defect, which is no failure of a candidate.
    """

    def __init__(
        self,
        attempt: Callable[[TrialSpec], Trial],
        parallelism: int,
        timeout: float | None = None,
        memory: int | None = None,
    ) -> None:
        if memory is not None and not STATM.exists():
            raise WorkerFailed.unlimited()
        self._parallelism, self._timeout, self._memory = parallelism, timeout, memory
        self._folder = tempfile.TemporaryDirectory(prefix="search-")
        self._data = Path(self._folder.name) / "attempt"
        mapped_pickle.write(attempt, self._data)
        self._waiting: deque[TrialSpec] = deque()
        self._workers: list[Worker] = []

    def submit(self, task: TrialSpec) -> None:
        self._waiting.append(task)

    def next(self, deadline: float | None) -> Trial | None:
        while deadline is None or monotonic() < deadline:
            self._assign()
            heard = wait([worker.connection for worker in self._workers], self._patience(deadline))
            for worker in [worker for worker in self._workers if worker.connection in heard]:
                if (trial := self._hear(worker)) is not None:
                    return trial
            for worker in self._workers:
                if worker.task is not None and self._timeout is not None and worker.seconds > self._timeout:
                    return self._replace(worker, f"it took longer than {self._timeout:g} s", "timeout")
        return None

    def close(self) -> None:
        self._waiting.clear()
        while self._workers:
            self._workers.pop().end()
        self._folder.cleanup()

    @property
    def pids(self) -> list[int]:
        """The processes."""
        return [worker.pid for worker in self._workers]

    def _assign(self) -> None:
        busy = sum(worker.task is not None for worker in self._workers)
        for _ in range(min(self._parallelism, busy + len(self._waiting)) - len(self._workers)):
            threads = max(1, (os.cpu_count() or 1) // self._parallelism)
            self._workers.append(Worker(self._data, self._memory, threads))
        for worker in self._workers:
            if worker.ready and worker.task is None and self._waiting:
                worker.begin(self._waiting.popleft())

    def _patience(self, deadline: float | None) -> float | None:
        """Seconds until something must be looked at, or None."""
        limits = [] if deadline is None else [deadline - monotonic()]
        if self._timeout is not None:
            limits += [self._timeout - worker.seconds for worker in self._workers if worker.task is not None]
        return max(0.0, min(limits)) if limits else None

    def _hear(self, worker: Worker) -> Trial | None:
        try:
            answer: WorkerMessage = worker.connection.recv()
        except (EOFError, OSError):
            return self._bury(worker)
        task, worker.task = worker.task, None
        if isinstance(answer, Ready):
            worker.ready = True
            return None
        if isinstance(answer, Defect):
            raise WorkerFailed.by_defect(task.number if task else 0, answer.text)
        if answer.status == "out_of_memory":
            self._drop(worker)  # what it has taken it may not give back
        return answer

    def _bury(self, worker: Worker) -> Trial:
        """What a worker that ended by itself leaves behind."""
        task, seconds = worker.task, worker.seconds
        code, words = self._drop(worker)
        if task is None:
            raise WorkerFailed.to_start(code, words)
        stopped: EarlyStop | None = "out_of_memory" if code == KILLED or FULL in words else None
        last = words.splitlines()[-1] if words else "and wrote nothing"
        return _ended(task, seconds, f"its process ended with {code}: {last}", stopped)

    def _replace(self, worker: Worker, error: str, stopped: EarlyStop) -> Trial | None:
        task, seconds = worker.task, worker.seconds
        self._drop(worker)
        return None if task is None else _ended(task, seconds, error, stopped)

    def _drop(self, worker: Worker) -> tuple[int, str]:
        self._workers.remove(worker)
        return worker.end()


def _ended(task: TrialSpec, seconds: float, error: str, stopped: EarlyStop | None) -> Trial:
    return Trial(task.number, task.candidate, {}, (), timedelta(seconds=seconds), error, stopped)


def _threads(count: int) -> dict[str, str]:
    """What numerical libraries read when they start; processes share the cores."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LOKY_MAX_CPU_COUNT")
    return dict.fromkeys(names, str(count))


_: type[Executor] = Processes
