"""The space of a search: what its families declare, narrowed as the use case says."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from lakehouse.declaration import Declaration
from lakehouse.errors import nearest
from training.models import FAMILIES
from training.space.joint_space import JointSpace
from training.space.left_out_inputs import dimensions
from training.space.space import Choice, Dimension, Float, Int, Space, SpaceRefused, Value


class Range(Declaration):
    """A range of a dimension, in place of the one that its family declares; what it leaves out stays."""

    low: int | float | None = None
    high: int | float | None = None
    log: bool | None = None
    points: int | None = None


OF_CLASSES = frozenset({"class_weight"})
Narrowed = Mapping[str, Range | tuple[Value, ...]]


def joint_space(
    families: Sequence[str],
    narrowed: Mapping[str, Narrowed],
    leave_out: Sequence[tuple[str, ...]] = (),
    *,
    of_classes: bool = True,
) -> JointSpace:
    """The families' spaces, each with the ranges and values of `narrowed` in place of its own.

    Every family that has a space may also leave out each group of inputs in `leave_out`. Where there are no classes,
    none has a weight. Known are the defaults of the families, the cheapest first.

    Raises:
        SpaceRefused: it narrows what no family has, or to what cannot be.
    """
    if strange := sorted(set(narrowed) - set(families)):
        raise SpaceRefused(f"it narrows {strange[0]}, which is not searched. {nearest(strange[0], list(families))}")
    gone = frozenset() if of_classes else OF_CLASSES
    declared = {
        name: {each: dimension for each, dimension in FAMILIES[name].space.items() if each not in gone}
        for name in families
    }
    spaces = {name: _space(name, space, narrowed.get(name, {})) for name, space in declared.items()}
    without = dimensions(leave_out)
    space = JointSpace({name: {**space, **without} if space else space for name, space in spaces.items()})
    cheap_first = sorted(families, key=lambda name: FAMILIES[name].cost)
    return replace(space, known=tuple(space.default(name) for name in cheap_first))


def _space(family: str, space: Space, narrowed: Narrowed) -> Space:
    if strange := sorted(set(narrowed) - set(space)):
        raise SpaceRefused(f"{family} has no dimension '{strange[0]}'. {nearest(strange[0], list(space))}")
    replaced = {name: _dimension(family, name, old, narrowed.get(name)) for name, old in space.items()}
    return _without_dead_ends(replaced)


def _dimension(family: str, name: str, old: Dimension, said: Range | tuple[Value, ...] | None) -> Dimension:
    if said is None:
        return old
    if not isinstance(said, Range) and (strange := [value for value in said if not _fits(old, value)]):
        raise SpaceRefused(f"{family}.{name} cannot be {strange[0]!r}: {_told(old)}")
    try:
        if not isinstance(said, Range):
            return Choice(said, old.when)
        if not isinstance(old, Choice):
            return _ranged(old, said)
    except SpaceRefused as err:
        raise SpaceRefused(f"{family}.{name}: {err.failed}", hint=err.hint) from err
    raise SpaceRefused(f"{family}.{name} is one of {', '.join(map(str, old.values))}: list those to search")


def _fits(old: Dimension, value: Value) -> bool:
    """Whether a value is of the kind that the dimension has; other numbers than the declared are, if of their sign.

    A family may fit what makes no sense: rows that weigh the more the older they are.
    """
    if isinstance(old, Choice):
        return value in old.values or (_is_positive(value) and any(map(_is_number, old.values)))
    if isinstance(old, Int):
        return value is None or (
            isinstance(value, int) and (_is_positive(value) or (_is_number(value) and old.low <= 0))
        )
    return value is None or value == 0 or _is_positive(value) or (_is_number(value) and old.low < 0)


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_positive(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _told(old: Dimension) -> str:
    if isinstance(old, Choice):
        return f"it is one of {', '.join(map(str, old.values))}"
    if isinstance(old, Float):
        return "it is a number" if old.low < 0 else "it is a number, and not below 0"
    return "it is a whole number" if old.low <= 0 else "it is a whole number above 0"


def _ranged(old: Int | Float, said: Range) -> Dimension:
    if said.low is not None and not _fits(old, said.low):
        raise SpaceRefused(f"it cannot begin at {said.low!r}: {_told(old)}")
    return replace(old, **said.model_dump(exclude_none=True))


def _without_dead_ends(space: Space) -> Space:
    """The space less the dimensions whose condition can no longer hold."""
    left: dict[str, Dimension] = {}
    for name, dimension in space.items():
        when = dimension.when
        asked = None if when is None else left.get(when.name)
        if when is None:
            left[name] = dimension
        elif isinstance(asked, Choice) and (values := tuple(value for value in when.values if value in asked.values)):
            left[name] = replace(dimension, when=replace(when, values=values))
    return left
