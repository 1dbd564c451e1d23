"""The spaces of several families as one search space."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from math import prod

from training.space.space import Choice, Dimension, Params, Space, Value, is_active, require_valid

Pick = Callable[[str, Dimension], Value]
FAMILY = "family"


@dataclass(frozen=True)
class Candidate:
    """A point of the joint space: a family and the values of its hyperparameters."""

    family: str
    params: Params

    @classmethod
    def of(cls, family: str, params: Params) -> "Candidate":
        """Make a candidate with its hyperparameters in alphabetical order."""
        return cls(family, dict(sorted(params.items())))


@dataclass(frozen=True)
class JointSpace:
    """The spaces of several families; a candidate belongs to one family.

    Attributes:
        families: dimensions of each family, in the order they are chosen.
        initial: points that random and tpe propose first, in this order.
    """

    families: Mapping[str, Space]
    initial: tuple[Candidate, ...] = ()

    def __post_init__(self) -> None:
        for space in self.families.values():
            require_valid(space)

    def draw(self, pick: Pick) -> Candidate:
        """Draw a candidate: `pick` chooses the family, then the value of each active dimension."""
        family = str(pick(FAMILY, Choice(tuple(self.families))))
        space, params = self.families[family], dict[str, Value]()
        for name, dimension in space.items():
            if is_active(space, params, name):
                params[name] = pick(label(family, name), dimension)
        return Candidate.of(family, params)

    def default(self, family: str) -> Candidate:
        """The candidate of a family with the default of each active dimension."""
        return self.draw(lambda label, dimension: family if label == FAMILY else dimension.default)

    def at(self, family: str, params: Params) -> Candidate:
        """The candidate of a family with these values; other active dimensions have their default."""

        def pick(name: str, dimension: Dimension) -> Value:
            return family if name == FAMILY else params.get(name.removeprefix(f"{family}."), dimension.default)

        return self.draw(pick)

    def grid(self) -> Iterator[Candidate]:
        """Every point of the grid, in a fixed order."""
        for family, space in self.families.items():
            for params in _points(space, list(space), {}):
                yield Candidate.of(family, params)

    def choices(self, candidate: Candidate) -> Iterator[tuple[str, Dimension, Value]]:
        """The picks that lead to the candidate: label, dimension and value of each."""
        family = candidate.family
        yield FAMILY, Choice(tuple(self.families)), family
        for name, value in candidate.params.items():
            yield label(family, name), self.families[family][name], value

    def size(self, family: str) -> int:
        """Number of grid points of the family, counted without enumerating them."""
        space = self.families[family]
        return prod(_count(space, name) for name, dimension in space.items() if dimension.when is None)

    def fingerprint(self) -> str:
        """SHA-256 over families, dimensions, conditions and initial points; equal if and only if the spaces are."""
        families = [
            (family, [(name, type(dimension).__name__, asdict(dimension)) for name, dimension in space.items()])
            for family, space in self.families.items()
        ]
        initial = [asdict(candidate) for candidate in self.initial]
        return hashlib.sha256(json.dumps([families, initial]).encode()).hexdigest()


def label(family: str, name: str) -> str:
    """Name of a dimension in the joint space; two families may have dimensions of the same name."""
    return f"{family}.{name}"


def dependents(space: Space, name: str, value: Value) -> list[str]:
    """Dimensions that are active if `name` has this value."""
    conditions = ((other, dimension.when) for other, dimension in space.items())
    return [other for other, when in conditions if when is not None and when.name == name and value in when.values]


def _points(space: Space, names: list[str], chosen: dict[str, Value]) -> Iterator[dict[str, Value]]:
    if not names:
        yield chosen
        return
    name, *rest = names
    if not is_active(space, chosen, name):
        yield from _points(space, rest, chosen)
        return
    for value in space[name].grid:
        yield from _points(space, rest, {**chosen, name: value})


def _count(space: Space, name: str) -> int:
    return sum(prod(_count(space, other) for other in dependents(space, name, value)) for value in space[name].grid)
