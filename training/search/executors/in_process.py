"""Runs trials one after the other, in this process."""

from collections import deque
from collections.abc import Callable

from training.search.executors import Executor
from training.search.trial import Trial, TrialSpec


class InProcess:
    """Runs one trial at a time. It cannot stop a trial: one that hangs blocks the search."""

    def __init__(self, attempt: Callable[[TrialSpec], Trial]) -> None:
        self._attempt = attempt
        self._waiting: deque[TrialSpec] = deque()

    def submit(self, spec: TrialSpec) -> None:
        self._waiting.append(spec)

    def next(self, deadline: float | None) -> Trial | None:
        return self._attempt(self._waiting.popleft())

    def close(self) -> None:
        self._waiting.clear()


_: type[Executor] = InProcess
