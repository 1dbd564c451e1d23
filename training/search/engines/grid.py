"""The search by grid: every point once, in an order that repeats itself."""

from training.search.engines.proposer import Proposer
from training.space.joint_space import Candidate, JointSpace
from training.space.space import SpaceRefused


class Grid:
    """Proposes every point of the grid.

    Raises:
        SpaceRefused: there are more than `limit` points. All of them are counted before the first is tried.
    """

    def __init__(self, space: JointSpace, limit: int) -> None:
        sizes = {family: space.size(family) for family in space.families}
        self.size = sum(sizes.values())
        if self.size > limit:
            shown = ", ".join(f"{family} {size:,}" for family, size in sizes.items())
            raise SpaceRefused(
                f"the grid has {self.size:,} points ({shown}), and max_evals allows {limit:,}",
                hint=f"Narrow it by `search.space` in the use case, or say --max-evals {self.size}.",
            )
        self._points = space.grid()

    def ask(self, number: int) -> Candidate | None:
        return next(self._points, None)

    def tell(self, number: int, loss: float) -> None:
        """A grid does not learn."""


_: type[Proposer] = Grid
