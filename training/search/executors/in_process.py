"""Trials one after the other, in this process."""

from collections import deque
from collections.abc import Callable

from training.search.executors import Executor
from training.search.trial import Task, Trial


class InProcess:
    """One trial at a time. It cannot be ended from outside: a trial that hangs, hangs the search."""

    def __init__(self, attempt: Callable[[Task], Trial]) -> None:
        self._attempt = attempt
        self._waiting: deque[Task] = deque()

    def submit(self, task: Task) -> None:
        self._waiting.append(task)

    def next(self, deadline: float | None) -> Trial | None:
        return self._attempt(self._waiting.popleft())

    def close(self) -> None:
        self._waiting.clear()


_: type[Executor] = InProcess
