"""The search space of a use case: the spaces of its families, narrowed by `search.space`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from lakehouse.declaration import Declaration
from lakehouse.errors import nearest
from training.models import FAMILIES
from training.models.portfolio import PORTFOLIOS, portfolio_points
from training.space.joint_space import JointSpace
from training.space.left_out_inputs import dimensions
from training.space.space import Choice, Dimension, Float, Int, Space, SpaceRefused, Value


class Range(Declaration):
    """A range of a dimension that replaces the declared one; omitted values keep their declaration.

    Attributes:
        low: least value.
        high: greatest value.
        log: true draws values evenly on a logarithmic scale.
        points: number of values of a grid.
    """

    low: int | float | None = None
    high: int | float | None = None
    log: bool | None = None
    points: int | None = None


RECENCY = "recency_half_life_days"
CLASSIFICATION_ONLY = frozenset({"class_weight"})
Narrowed = Mapping[str, Range | tuple[Value, ...]]


def joint_space(
    families: Sequence[str],
    narrowed: Mapping[str, Narrowed],
    leave_out: Sequence[tuple[str, ...]] = (),
    absent: Collection[str] = frozenset(),
    *,
    portfolio: bool = False,
) -> JointSpace:
    """Join the spaces of the families, with the ranges and values of `narrowed` in place of the declared ones.

    A family has its optional dimensions only if `narrowed` names them. Every family with a space may also leave out
    each group of inputs in `leave_out`. No family has the dimensions in `absent`. The initial points are the defaults
    of the families, cheapest family first; with `portfolio` those of the portfolio, whose dimensions replace declared
    ones.

    Raises:
        SpaceRefused: `narrowed` names an unknown family or dimension, or invalid values.
    """
    if unknown := sorted(set(narrowed) - set(families)):
        raise SpaceRefused(f"space names {unknown[0]}, which is not searched. {nearest(unknown[0], list(families))}")
    declared = {
        name: {key: dimension for key, dimension in FAMILIES[name].space.items() if key not in absent}
        | {key: dimension for key, dimension in FAMILIES[name].optional.items() if key in narrowed.get(name, {})}
        for name in families
    }
    if portfolio:
        wider = {name: PORTFOLIOS[name].space for name in families if name in PORTFOLIOS}
        declared = {name: {**space, **wider.get(name, {})} for name, space in declared.items()}
    spaces = {name: _space(name, space, narrowed.get(name, {})) for name, space in declared.items()}
    left_out = dimensions(leave_out)
    space = JointSpace({name: {**space, **left_out} if space else space for name, space in spaces.items()})
    if portfolio:
        return replace(space, initial=portfolio_points(space))
    cheapest_first = sorted(families, key=lambda name: FAMILIES[name].cost)
    return replace(space, initial=tuple(space.default(name) for name in cheapest_first))


def _space(family: str, space: Space, narrowed: Narrowed) -> Space:
    if unknown := sorted(set(narrowed) - set(space)):
        raise SpaceRefused(f"{family} has no dimension '{unknown[0]}'. {nearest(unknown[0], list(space))}")
    replaced = {name: _dimension(family, name, old, narrowed.get(name)) for name, old in space.items()}
    return _without_dead_ends(replaced)


def _dimension(family: str, name: str, declared: Dimension, narrowed: Range | tuple[Value, ...] | None) -> Dimension:
    if narrowed is None:
        return declared
    if not isinstance(narrowed, Range) and (invalid := [value for value in narrowed if not _fits(declared, value)]):
        raise SpaceRefused(f"{family}.{name} cannot be {invalid[0]!r}: {_describe(declared)}")
    try:
        if not isinstance(narrowed, Range):
            return Choice(narrowed, declared.when)
        if not isinstance(declared, Choice):
            return _narrow(declared, narrowed)
    except SpaceRefused as err:
        raise SpaceRefused(f"{family}.{name}: {err.failed}", hint=err.hint) from err
    raise SpaceRefused(f"{family}.{name} is one of {', '.join(map(str, declared.values))}: list the values to search")


def _fits(declared: Dimension, value: Value) -> bool:
    """True if a value is valid for the dimension: of its type, and a number with a sign of the declared range.

    The sign matters since a family would fit nonsense without an error, as weights that grow with a row's age.
    """
    if isinstance(declared, Choice):
        if declared.is_open and isinstance(value, str) and value:
            return True
        return value in declared.values or (_is_positive(value) and any(map(_is_number, declared.values)))
    if isinstance(declared, Int):
        return value is None or (
            isinstance(value, int) and (_is_positive(value) or (_is_number(value) and declared.low <= 0))
        )
    return value is None or value == 0 or _is_positive(value) or (_is_number(value) and declared.low < 0)


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_positive(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _describe(declared: Dimension) -> str:
    if isinstance(declared, Choice):
        return f"it is one of {', '.join(map(str, declared.values))}"
    if isinstance(declared, Float):
        return "it is a number" if declared.low < 0 else "it is a number of at least 0"
    return "it is an integer" if declared.low <= 0 else "it is an integer above 0"


def _narrow(declared: Int | Float, narrowed: Range) -> Dimension:
    if narrowed.low is not None and not _fits(declared, narrowed.low):
        raise SpaceRefused(f"it cannot start at {narrowed.low!r}: {_describe(declared)}")
    return replace(declared, **narrowed.model_dump(exclude_none=True))


def _without_dead_ends(space: Space) -> Space:
    """Remove dimensions whose condition can no longer hold."""
    possible: dict[str, Dimension] = {}
    for name, dimension in space.items():
        when = dimension.when
        if when is None:
            possible[name] = dimension
            continue
        parent = possible.get(when.name)
        if isinstance(parent, Choice) and (values := tuple(value for value in when.values if value in parent.values)):
            possible[name] = replace(dimension, when=replace(when, values=values))
    return possible
