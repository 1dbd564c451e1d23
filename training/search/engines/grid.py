"""Grid search: every point once, in a fixed order."""

from training.search.engines.proposer import Proposer
from training.space.joint_space import Candidate, JointSpace
from training.space.space import SpaceRefused


class Grid:
    """Proposes every point of the grid.

    Raises:
        SpaceRefused: the grid has more than `limit` points; they are counted before the first trial.
    """

    def __init__(self, space: JointSpace, limit: int) -> None:
        sizes = {family: space.size(family) for family in space.families}
        self.size = sum(sizes.values())
        if self.size > limit:
            by_family = ", ".join(f"{family} {size:,}" for family, size in sizes.items())
            raise SpaceRefused(
                f"the grid has {self.size:,} points ({by_family}), and max_evals is {limit:,}",
                hint=f"Narrow it with `search.space` in the use case, or pass --max-evals {self.size}.",
            )
        self._points = space.grid()

    def ask(self, number: int) -> Candidate | None:
        return next(self._points, None)

    def tell(self, number: int, loss: float) -> None:
        """Ignore the loss."""


_: type[Proposer] = Grid
