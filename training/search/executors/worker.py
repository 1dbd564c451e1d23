"""A process that tries candidates, started by `processes`."""

import os
import queue
import resource
import signal
import threading
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from training.search.executors import mapped_pickle
from training.search.trial import Trial, TrialSpec

STATM = Path("/proc/self/statm")
DATA = 5  # the field of it that counts pages of data and stack


@dataclass(frozen=True)
class Ready:
    """The worker has the data."""


@dataclass(frozen=True)
class Defect:
    """An error that is no failure of a candidate."""

    text: str


WorkerMessage = Ready | Defect | Trial


def main(descriptor: int, path: Path, memory: int | None) -> None:
    """Answer each task with its trial, until nobody asks any more.

    Args:
        descriptor: of the socket to whoever asks.
        path: the shared file of what tries a task.
        memory: MiB that may be taken beside what is taken now; None: as much as there is.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who asks
    connection = Connection(descriptor)
    tasks: queue.SimpleQueue[TrialSpec] = queue.SimpleQueue()
    attempt = mapped_pickle.read(path)
    if memory is not None:
        _limit(memory)
    connection.send(Ready())
    threading.Thread(target=_receive, args=(connection, tasks), daemon=True).start()
    while True:
        answer: WorkerMessage
        try:
            answer = attempt(tasks.get())
        except Exception:  # noqa: BLE001  (told in full to the one who asks, and raised there)
            answer = Defect(traceback.format_exc())
        connection.send(answer)


def _receive(connection: Connection, tasks: "queue.SimpleQueue[TrialSpec]") -> None:
    """Take tasks as they come. Where nobody can send any more, the process ends at once, whatever it tries."""
    while True:
        try:
            tasks.put(connection.recv())
        except (EOFError, OSError):
            os._exit(0)


def _limit(memory: int) -> None:
    # Of private memory alone: the data is mapped, and shared by all.
    taken = int(STATM.read_text().split()[DATA]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (taken + memory * 2**20, hard))
