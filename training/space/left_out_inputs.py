"""Inputs that a search may leave out: one dimension for each raw input or group of them."""

from collections.abc import Sequence

from lakehouse.errors import nearest
from training.space.space import Choice, Params, Space, SpaceRefused

WITHOUT = "without."  # prefix of a dimension, followed by its inputs: `without.job`, `without.job.marital`


def dimensions(groups: Sequence[tuple[str, ...]]) -> Space:
    """One dimension, True or False, for each group of inputs.

    Raises:
        SpaceRefused: an input is in two groups, or a group is empty.
    """
    columns = [column for group in groups for column in group]
    if repeated := sorted({column for column in columns if columns.count(column) > 1}):
        raise SpaceRefused(f"leave_out names {repeated[0]} twice")
    if not all(groups):
        raise SpaceRefused("leave_out has an empty group")
    return {WITHOUT + ".".join(group): Choice((False, True)) for group in groups}


def require_known(groups: Sequence[tuple[str, ...]], inputs: Sequence[str]) -> None:
    """Check that the tables have every input of the groups.

    Raises:
        SpaceRefused: an input is missing; the message suggests the most similar one.
    """
    for column in (column for group in groups for column in group):
        if column not in inputs:
            raise SpaceRefused(f"leave_out names {column}, which is not an input. {nearest(column, list(inputs))}")


def left_out_inputs(params: Params) -> tuple[str, ...]:
    """Inputs that a candidate leaves out, in alphabetical order."""
    groups = [name.removeprefix(WITHOUT) for name, value in params.items() if name.startswith(WITHOUT) and value]
    return tuple(sorted(column for group in groups for column in group.split(".")))


def hyperparameters(params: Params) -> Params:
    """Parameters of a candidate without its left-out inputs."""
    return {name: value for name, value in params.items() if not name.startswith(WITHOUT)}
