"""The search space of a family, independent of methods and engines."""

from collections.abc import Mapping
from dataclasses import dataclass

from lakehouse.errors import LakehouseError

Value = int | float | str | bool | None
Params = Mapping[str, Value]

GRID_POINTS = 3


class SpaceRefused(LakehouseError, ValueError):
    """A search space is invalid."""

    @classmethod
    def bounds(cls, low: float, high: float) -> "SpaceRefused":
        return cls(
            f"the lower bound {low} is not below the upper bound {high}", hint="For one value, list that value only."
        )

    @classmethod
    def logarithm(cls, low: float) -> "SpaceRefused":
        return cls(f"a logarithmic range must start above 0, and this one starts at {low}")

    @classmethod
    def points(cls, points: int) -> "SpaceRefused":
        return cls(f"a grid needs at least 2 points of a range, not {points}")

    @classmethod
    def empty(cls) -> "SpaceRefused":
        return cls("a choice needs at least one value")

    @classmethod
    def repeated(cls, values: tuple[Value, ...]) -> "SpaceRefused":
        return cls(f"a choice has a value twice: {', '.join(map(str, values))}")

    @classmethod
    def condition(cls, name: str, problem: str) -> "SpaceRefused":
        return cls(f"the dimension '{name}' {problem}")


@dataclass(frozen=True)
class When:
    """A condition: the dimension `name` is active and has one of the `values`."""

    name: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Int:
    """An integer from `low` to `high`, both included; the default is the middle.

    Attributes:
        log: True for a logarithmic scale, which also determines the middle.
        points: number of grid values, both ends included; fewer if the range has fewer.
        when: condition that activates the dimension.
    """

    low: int
    high: int
    log: bool = False
    points: int = GRID_POINTS
    when: When | None = None

    def __post_init__(self) -> None:
        _require_range(self.low, self.high, self.points, log=self.log)

    @property
    def default(self) -> Value:
        return round(_between(self.low, self.high, 0.5, log=self.log))

    @property
    def grid(self) -> tuple[Value, ...]:
        return tuple(dict.fromkeys(round(value) for value in _spread(self.low, self.high, self.points, log=self.log)))

    def read(self, text: str) -> Value:
        """Parse a value that was written as `text`."""
        return int(text)


@dataclass(frozen=True)
class Float:
    """A number from `low` to `high`; the default has three digits. `log`, `points` and `when` as for `Int`."""

    low: float
    high: float
    log: bool = False
    points: int = GRID_POINTS
    when: When | None = None

    def __post_init__(self) -> None:
        _require_range(self.low, self.high, self.points, log=self.log)

    @property
    def default(self) -> Value:
        middle = _between(self.low, self.high, 0.5, log=self.log)
        return min(max(float(f"{middle:.3g}"), float(self.low)), float(self.high))

    @property
    def grid(self) -> tuple[Value, ...]:
        return tuple(map(float, _spread(self.low, self.high, self.points, log=self.log)))

    def read(self, text: str) -> Value:
        """Parse a value that was written as `text`; Python's text of a number reads back equal."""
        return float(text)


@dataclass(frozen=True)
class Choice:
    """One of the values. The first one is the default; a grid uses all.

    Attributes:
        is_open: True if a use case may name other texts than these.
    """

    values: tuple[Value, ...]
    when: When | None = None
    is_open: bool = False

    def __post_init__(self) -> None:
        if not self.values:
            raise SpaceRefused.empty()
        if len({(type(value), value) for value in self.values}) < len(self.values):
            raise SpaceRefused.repeated(self.values)

    @property
    def default(self) -> Value:
        return self.values[0]

    @property
    def grid(self) -> tuple[Value, ...]:
        return self.values

    def read(self, text: str) -> Value:
        """Parse a value that was written as `text`."""
        return {str(value): value for value in self.values}[text]


Dimension = Int | Float | Choice
Space = Mapping[str, Dimension]


def require_valid(space: Space) -> Space:
    """Return the space if every condition can hold, and follows the dimension it depends on.

    Raises:
        SpaceRefused: a condition names no earlier dimension, or a value that this dimension never has.
    """
    seen: dict[str, Dimension] = {}
    for name, dimension in space.items():
        if dimension.when is not None:
            _require_possible(name, dimension.when, seen.get(dimension.when.name))
        seen[name] = dimension
    return space


def is_active(space: Space, chosen: Params, name: str) -> bool:
    """True if the dimension is active, given the values of earlier dimensions."""
    when = space[name].when
    return when is None or (when.name in chosen and chosen[when.name] in when.values)


def _require_possible(name: str, when: When, parent: Dimension | None) -> None:
    if not isinstance(parent, Choice):
        raise SpaceRefused.condition(name, f"depends on '{when.name}', which is not an earlier choice")
    if not when.values:
        raise SpaceRefused.condition(name, f"depends on no value of {when.name}")
    if unknown := [value for value in when.values if value not in parent.values]:
        raise SpaceRefused.condition(name, f"depends on {when.name} being {unknown[0]}, which it never is")


def _spread(low: float, high: float, points: int, *, log: bool) -> list[float]:
    shares = [step / (points - 1) for step in range(1, points - 1)]
    return [low, *(_between(low, high, share, log=log) for share in shares), high]


def _between(low: float, high: float, share: float, *, log: bool) -> float:
    return low * (high / low) ** share if log else low + (high - low) * share


def _require_range(low: float, high: float, points: int, *, log: bool) -> None:
    if not low < high:
        raise SpaceRefused.bounds(low, high)
    if log and low <= 0:
        raise SpaceRefused.logarithm(low)
    if points < 2:
        raise SpaceRefused.points(points)
