"""Runs trials as tasks of a Spark Connect server: on the workers of a cluster, or inside the engine with Sail."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from training.search import record
from training.search.executors import Executor
from training.search.executors.attempt_file import AttemptFile
from training.search.executors.search_folder import SearchFolder
from training.search.trial import Trial, TrialSpec

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import SparkSession


class SparkConnect:
    """One job of one task for each trial: `mapInPandas` over one row.

    The workers need this project installed. They read the data from a file in TMPDIR if they see it. Otherwise the
    data travels with each trial, up to a size limit.

    Raises:
        PayloadTooLarge: the workers do not see the file, and it is too large to travel.
    """

    def __init__(self, attempt: Callable[[TrialSpec], Trial], session: "SparkSession", parallelism: int) -> None:
        self._session, self._parallelism = session, parallelism
        self._folder = SearchFolder()
        file = AttemptFile.write(attempt, Path(self._folder.name) / "attempt")
        visible = self._on_worker(lambda: str(file.is_visible())) == str(True)
        self._attempt_file = file if visible else file.with_content()
        self._waiting: deque[TrialSpec] = deque()
        self._running = 0
        self._ended: queue.SimpleQueue[Trial | Exception] = queue.SimpleQueue()

    def submit(self, spec: TrialSpec) -> None:
        self._waiting.append(spec)
        self._start_waiting()

    def next(self, deadline: float | None) -> Trial | None:
        try:
            ended = self._ended.get(timeout=None if deadline is None else max(0.0, deadline - monotonic()))
        except queue.Empty:
            return None
        self._running -= 1
        self._start_waiting()
        if isinstance(ended, Exception):
            raise ended
        return ended

    def close(self) -> None:
        """Return without waiting. Running jobs continue, and their results are dropped."""
        self._waiting.clear()
        self._folder.cleanup()

    def _start_waiting(self) -> None:
        while self._waiting and self._running < self._parallelism:
            self._running += 1
            threading.Thread(target=self._run, args=(self._waiting.popleft(),), daemon=True).start()

    def _run(self, spec: TrialSpec) -> None:
        file = self._attempt_file
        try:
            self._ended.put(record.from_json(self._on_worker(lambda: file.run(spec))))
        except Exception as err:  # noqa: BLE001  (raised by `next`, in the thread of the caller)
            self._ended.put(err)

    def _on_worker(self, function: Callable[[], str]) -> str:
        """Call the function on a worker."""

        def call(frames: "Iterator[pd.DataFrame]") -> "Iterator[pd.DataFrame]":
            for frame in frames:
                yield frame.assign(result=function())[["result"]]

        rows = self._session.range(1).coalesce(1).mapInPandas(call, "result string").collect()
        return str(rows[0]["result"])


_: type[Executor] = SparkConnect
