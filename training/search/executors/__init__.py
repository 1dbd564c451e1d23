"""Executors run trials, and return them as they end."""

from typing import Protocol

from training.search.trial import Trial, TrialSpec


class Executor(Protocol):
    """Runs trials in the order of submission, a fixed number of them at once."""

    def submit(self, spec: TrialSpec) -> None:
        """Add a trial; it may wait until another one ends."""

    def next(self, deadline: float | None) -> Trial | None:
        """Wait for the next trial to end; None after `deadline`, a time of `monotonic`."""

    def close(self) -> None:
        """Stop running trials without waiting for them, and free all resources."""
