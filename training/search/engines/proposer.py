"""The interface of search engines: ask for a candidate, tell its loss."""

from typing import Protocol

from training.space.joint_space import Candidate


class Proposer(Protocol):
    """A search method. Its proposals depend only on its seed and on the order of calls."""

    def ask(self, number: int) -> Candidate | None:
        """Propose the candidate of trial `number`, counted from 1; None if no candidate is left."""

    def tell(self, number: int, loss: float) -> None:
        """Report the loss of a trial: less is better, infinite means failed."""
