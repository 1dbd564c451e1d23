"""Families and their dimensions as one space: what every method walks, counts and writes down."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from math import prod

from training.space.space import Choice, Dimension, Params, Space, Value, check, present

Pick = Callable[[str, Dimension], Value]
FAMILY = "family"


@dataclass(frozen=True)
class Candidate:
    """A point of the joint search space: the family and the real values of its hyperparameters."""

    family: str
    params: Params

    @classmethod
    def of(cls, family: str, params: Params) -> "Candidate":
        """The candidate, its hyperparameters in alphabetical order."""
        return cls(family, dict(sorted(params.items())))


@dataclass(frozen=True)
class JointSpace:
    """The spaces of several families, of which each candidate takes one.

    Attributes:
        families: each family's own dimensions, in the order they are chosen.
        known: points that a method which draws proposes first, in this order.
    """

    families: Mapping[str, Space]
    known: tuple[Candidate, ...] = ()

    def __post_init__(self) -> None:
        for space in self.families.values():
            check(space)

    def draw(self, pick: Pick) -> Candidate:
        """A candidate: `pick` chooses the family, then each dimension that is there."""
        family = str(pick(FAMILY, Choice(tuple(self.families))))
        space, params = self.families[family], dict[str, Value]()
        for name, dimension in space.items():
            if present(space, params, name):
                params[name] = pick(label(family, name), dimension)
        return Candidate.of(family, params)

    def default(self, family: str) -> Candidate:
        """The family with the default of each dimension that is there."""
        return self.draw(lambda label, dimension: family if label == FAMILY else dimension.default)

    def grid(self) -> Iterator[Candidate]:
        """Every point of the grid, in an order that repeats itself."""
        for family, space in self.families.items():
            for params in _points(space, list(space), {}):
                yield Candidate.of(family, params)

    def chosen(self, candidate: Candidate) -> Iterator[tuple[str, Dimension, Value]]:
        """What a method picks to come to the candidate: labels, their dimensions and values."""
        family = candidate.family
        yield FAMILY, Choice(tuple(self.families)), family
        for name, value in candidate.params.items():
            yield label(family, name), self.families[family][name], value

    def size(self, family: str) -> int:
        """How many points the grid has in the family, counted without walking it."""
        space = self.families[family]
        return prod(_count(space, name) for name, dimension in space.items() if dimension.when is None)

    def fingerprint(self) -> str:
        """SHA-256 over families, dimensions, conditions and known points: equal if and only if the spaces are."""
        said = [
            (family, [(name, type(dimension).__name__, asdict(dimension)) for name, dimension in space.items()])
            for family, space in self.families.items()
        ]
        known = [asdict(candidate) for candidate in self.known]
        return hashlib.sha256(json.dumps([said, known]).encode()).hexdigest()


def label(family: str, name: str) -> str:
    """A dimension's name in the joint space; families may share names of their own."""
    return f"{family}.{name}"


def dependents(space: Space, name: str, value: Value) -> list[str]:
    """The dimensions that are there where `name` has this value, and only there or where it has certain others."""
    asked = ((other, dimension.when) for other, dimension in space.items())
    return [other for other, when in asked if when is not None and when.name == name and value in when.values]


def _points(space: Space, names: list[str], chosen: dict[str, Value]) -> Iterator[dict[str, Value]]:
    if not names:
        yield chosen
        return
    name, *rest = names
    if not present(space, chosen, name):
        yield from _points(space, rest, chosen)
        return
    for value in space[name].grid:
        yield from _points(space, rest, {**chosen, name: value})


def _count(space: Space, name: str) -> int:
    return sum(prod(_count(space, other) for other in dependents(space, name, value)) for value in space[name].grid)
