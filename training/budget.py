"""The time of a training run: one limit for search, blend, refit and report."""

from dataclasses import dataclass
from time import monotonic
from typing import Self


@dataclass(frozen=True)
class Budget:
    """A time limit that starts with the training run.

    Attributes:
        end: when the time ends, as a time of `monotonic`; None without a limit.
    """

    end: float | None = None

    @classmethod
    def of(cls, seconds: float | None) -> Self:
        """The budget of so many seconds from now; without a limit for None."""
        return cls(None if seconds is None else monotonic() + seconds)

    def left(self) -> float | None:
        """Seconds that are left, at least 0; None without a limit."""
        return None if self.end is None else max(self.end - monotonic(), 0.0)

    def at_least(self, seconds: float) -> "Budget":
        """The budget, or so many seconds from now if less is left."""
        left = self.left()
        return self if left is None or left >= seconds else Budget.of(seconds)

    def allows(self, seconds: float) -> bool:
        """True if work of so many seconds ends in time."""
        left = self.left()
        return left is None or seconds <= left


NO_LIMIT = Budget()
