"""The declarative search space: one form for every family, every method and every engine."""

from collections.abc import Mapping
from dataclasses import dataclass

from lakehouse.errors import LakehouseError

Value = int | float | str | bool | None
Params = Mapping[str, Value]

GRID_POINTS = 3


class SpaceRefused(LakehouseError, ValueError):
    """A search space says something that cannot be."""

    @classmethod
    def bounds(cls, low: float, high: float) -> "SpaceRefused":
        return cls(
            f"the lower bound {low} is not below the upper bound {high}", hint="For one value alone, name it alone."
        )

    @classmethod
    def logarithm(cls, low: float) -> "SpaceRefused":
        return cls(f"a logarithmic range must begin above 0, and this one begins at {low}")

    @classmethod
    def points(cls, points: int) -> "SpaceRefused":
        return cls(f"a grid takes at least 2 points of a range, and not {points}")

    @classmethod
    def empty(cls) -> "SpaceRefused":
        return cls("a Choice needs at least one value, and this one has none")

    @classmethod
    def doubled(cls, values: tuple[Value, ...]) -> "SpaceRefused":
        return cls(f"a choice has a value twice: {', '.join(map(str, values))}")

    @classmethod
    def condition(cls, name: str, problem: str) -> "SpaceRefused":
        return cls(f"the dimension '{name}' {problem}")


@dataclass(frozen=True)
class When:
    """A condition: the dimension `name` is there and has one of the `values`."""

    name: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Int:
    """A whole number from `low` to `high`, both included; its default is the middle.

    Attributes:
        log: spreads the search evenly over magnitudes; the middle is one of magnitudes then.
        points: how many values a grid takes of the range, its ends included; fewer where it has fewer.
        when: the dimension is there only where this holds.
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
        """The value that was written as `text`."""
        return int(text)


@dataclass(frozen=True)
class Float:
    """A number from `low` to `high`, and its default to three digits; `log`, `points` and `when` as for `Int`."""

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
        """The value that was written as `text`; Python writes each number so that it reads back equal."""
        return float(text)


@dataclass(frozen=True)
class Choice:
    """One of the values, of which the first is its default; a grid takes each."""

    values: tuple[Value, ...]
    when: When | None = None

    def __post_init__(self) -> None:
        if not self.values:
            raise SpaceRefused.empty()
        if len({(type(value), value) for value in self.values}) < len(self.values):
            raise SpaceRefused.doubled(self.values)

    @property
    def default(self) -> Value:
        return self.values[0]

    @property
    def grid(self) -> tuple[Value, ...]:
        return self.values

    def read(self, text: str) -> Value:
        """The value that was written as `text`."""
        return {str(value): value for value in self.values}[text]


Dimension = Int | Float | Choice
Space = Mapping[str, Dimension]


def check(space: Space) -> Space:
    """The space, if every condition can hold and stands after the dimension that it asks about.

    Raises:
        SpaceRefused: a condition names no earlier dimension, or a value that dimension never has.
    """
    seen: dict[str, Dimension] = {}
    for name, dimension in space.items():
        if dimension.when is not None:
            _require_possible(name, dimension.when, seen.get(dimension.when.name))
        seen[name] = dimension
    return space


def present(space: Space, chosen: Params, name: str) -> bool:
    """Whether the dimension is there, given what was chosen for those before it."""
    when = space[name].when
    return when is None or (when.name in chosen and chosen[when.name] in when.values)


def _require_possible(name: str, when: When, asked: Dimension | None) -> None:
    if not isinstance(asked, Choice):
        raise SpaceRefused.condition(name, f"depends on '{when.name}', which is no choice before it")
    if not when.values:
        raise SpaceRefused.condition(name, f"waits for no value of {when.name}")
    if strange := [value for value in when.values if value not in asked.values]:
        raise SpaceRefused.condition(name, f"waits for {when.name} to be {strange[0]}, which it never is")


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
