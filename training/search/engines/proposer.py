"""Who says what to try next: one interface, whatever engine stands behind it."""

from typing import Protocol

from training.space.joint_space import Candidate


class Proposer(Protocol):
    """A search method. What it proposes follows from its seed and the order of what it is asked and told."""

    def ask(self, number: int) -> Candidate | None:
        """What trial `number` shall try; numbers count from 1. None: there is nothing left to try."""

    def tell(self, number: int, loss: float) -> None:
        """What came of it: less is better, and infinity says that nothing did."""
