"""Where trials run: each executor takes tasks and gives back trials, whichever ends first."""

from typing import Protocol

from training.search.trial import Trial, TrialSpec


class Executor(Protocol):
    """Runs tasks, in the order they are submitted, as many at once as it was made for."""

    def submit(self, task: TrialSpec) -> None:
        """Take a task; it may wait until another has ended."""

    def next(self, deadline: float | None) -> Trial | None:
        """The next trial that ends; None once `deadline`, a time of `monotonic`, has passed."""

    def close(self) -> None:
        """End what runs, wait for nothing, and let go of everything."""
