"""Runs trials one after the other, in this process."""

from collections import deque
from collections.abc import Callable
from dataclasses import replace

from training.search.executors import Executor
from training.search.trial import Trial, TrialSpec


class InProcess:
    """Runs one trial at a time. A fit that hangs blocks the search: it cannot be stopped.

    A trial that would end after the deadline stops between two folds, and a booster within a fit. That holds once a
    trial has succeeded: a search with too little time still has a result.
    """

    def __init__(self, attempt: Callable[[TrialSpec], Trial]) -> None:
        self._attempt = attempt
        self._waiting: deque[TrialSpec] = deque()
        self._succeeded = False

    def submit(self, spec: TrialSpec) -> None:
        self._waiting.append(spec)

    def next(self, deadline: float | None) -> Trial | None:
        spec = self._waiting.popleft()
        trial = self._attempt(replace(spec, deadline=deadline) if self._succeeded else spec)
        self._succeeded = self._succeeded or trial.status == "ok"
        return trial

    def close(self) -> None:
        self._waiting.clear()


_: type[Executor] = InProcess
