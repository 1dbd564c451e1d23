"""Trials as tasks of a Spark Connect server: on a cluster on its workers, on Sail in the engine's own process."""

import queue
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from training.search import record
from training.search.executors import Executor
from training.search.executors.attempt_file import AttemptFile
from training.search.trial import Trial, TrialSpec

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import SparkSession


class SparkConnect:
    """Each trial is a job of one task, `mapInPandas` over one row; as many jobs at once as there may be trials.

    The workers need this project installed. They read the data from a file below TMPDIR where they see it; else it
    travels with each trial, as long as it is small.

    Raises:
        ParcelRefused: the workers do not see the file, and it is too large to travel.
    """

    def __init__(self, attempt: Callable[[TrialSpec], Trial], session: "SparkSession", parallelism: int) -> None:
        self._session, self._parallelism = session, parallelism
        self._folder = tempfile.TemporaryDirectory(prefix="search-")
        parcel = AttemptFile.packed(attempt, Path(self._folder.name) / "attempt")
        self._parcel = parcel if self._remotely(lambda: str(parcel.seen())) == str(True) else parcel.with_bytes()
        self._waiting: deque[TrialSpec] = deque()
        self._running = 0
        self._ended: queue.SimpleQueue[Trial | Exception] = queue.SimpleQueue()

    def submit(self, task: TrialSpec) -> None:
        self._waiting.append(task)
        self._begin()

    def next(self, deadline: float | None) -> Trial | None:
        try:
            ended = self._ended.get(timeout=None if deadline is None else max(0.0, deadline - monotonic()))
        except queue.Empty:
            return None
        self._running -= 1
        self._begin()
        if isinstance(ended, Exception):
            raise ended
        return ended

    def close(self) -> None:
        """Wait for nothing. A job that runs goes on where it runs, and nobody listens."""
        self._waiting.clear()
        self._folder.cleanup()

    def _begin(self) -> None:
        while self._waiting and self._running < self._parallelism:
            self._running += 1
            threading.Thread(target=self._run, args=(self._waiting.popleft(),), daemon=True).start()

    def _run(self, task: TrialSpec) -> None:
        parcel = self._parcel
        try:
            self._ended.put(record.read(self._remotely(lambda: parcel.attempted(task))))
        except Exception as err:  # noqa: BLE001  (raised by `next`: a thread has nobody to tell)
            self._ended.put(err)

    def _remotely(self, told: Callable[[], str]) -> str:
        """What `told` says on a worker."""

        def on_worker(frames: "Iterator[pd.DataFrame]") -> "Iterator[pd.DataFrame]":
            for frame in frames:
                yield frame.assign(told=told())[["told"]]

        rows = self._session.range(1).coalesce(1).mapInPandas(on_worker, "told string").collect()
        return str(rows[0]["told"])


_: type[Executor] = SparkConnect
