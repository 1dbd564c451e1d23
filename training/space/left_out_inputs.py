"""Which raw inputs a search may leave out: a dimension for each, or for each group that goes together."""

from collections.abc import Sequence

from lakehouse.errors import nearest
from training.space.space import Choice, Params, Space, SpaceRefused

WITHOUT = "without."  # a dimension's name says which inputs: `without.job`, `without.job.marital`


def dimensions(groups: Sequence[tuple[str, ...]]) -> Space:
    """Whether each group of inputs is left out.

    Raises:
        SpaceRefused: an input is in two groups, or a group is empty.
    """
    named = [column for group in groups for column in group]
    if doubled := sorted({column for column in named if named.count(column) > 1}):
        raise SpaceRefused(f"leave_out names {doubled[0]} twice")
    if not all(groups):
        raise SpaceRefused("leave_out has a group of no inputs")
    return {WITHOUT + ".".join(group): Choice((False, True)) for group in groups}


def require_known(groups: Sequence[tuple[str, ...]], inputs: Sequence[str]) -> None:
    """Refuse an input that the tables do not have.

    Raises:
        SpaceRefused: with the nearest that they have.
    """
    for column in (column for group in groups for column in group):
        if column not in inputs:
            raise SpaceRefused(f"leave_out names {column}, which is no input. {nearest(column, list(inputs))}")


def left_out(params: Params) -> tuple[str, ...]:
    """The inputs that a candidate leaves out, in alphabetical order."""
    groups = [name.removeprefix(WITHOUT) for name, value in params.items() if name.startswith(WITHOUT) and value]
    return tuple(sorted(column for group in groups for column in group.split(".")))


def others(params: Params) -> Params:
    """The candidate's other hyperparameters."""
    return {name: value for name, value in params.items() if not name.startswith(WITHOUT)}
