"""A worker process that runs trials, started by `processes`."""

import os
import queue
import signal
import threading
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from lakehouse.process_memory import limit_private_memory
from training.search.executors import mapped_pickle
from training.search.trial import Trial, TrialSpec


@dataclass(frozen=True)
class Ready:
    """The worker has loaded the data."""


@dataclass(frozen=True)
class Defect:
    """An error that is not a failure of the candidate."""

    text: str


WorkerMessage = Ready | Defect | Trial


def main(descriptor: int, path: Path, memory: int | None) -> None:
    """Run trials from the parent process until it closes the connection.

    Args:
        descriptor: file descriptor of the socket to the parent.
        path: mapped pickle of the attempt.
        memory: MiB that may be allocated in addition to the data; None: no limit.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    connection = Connection(descriptor)
    specs: queue.SimpleQueue[TrialSpec] = queue.SimpleQueue()
    attempt = mapped_pickle.read(path)
    if memory is not None:
        limit_private_memory(memory * 2**20)  # the mapped data is shared by all workers
    connection.send(Ready())
    threading.Thread(target=_receive, args=(connection, specs), daemon=True).start()
    while True:
        message: WorkerMessage
        try:
            message = attempt(specs.get())
        except Exception:  # noqa: BLE001  (the parent raises it with this traceback)
            message = Defect(traceback.format_exc())
        connection.send(message)


def _receive(connection: Connection, specs: "queue.SimpleQueue[TrialSpec]") -> None:
    """Queue incoming trials. Exit at once when the parent is gone, even during a trial."""
    while True:
        try:
            specs.put(connection.recv())
        except (EOFError, OSError):
            os._exit(0)
