"""Types of request fields whose values become numbers, so that a large request needs no Python object of a value.

A value has a code. A number is its own code, and null is NaN. The code of a choice is its place among the values;
null and text of no place are -1. Encodings write features from arrays of codes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any, Self

NO_PLACE = -1
BOOLEANS = (False, True)


@dataclass(frozen=True)
class NumberField:
    """Numbers within bounds; `whole` admits no fraction."""

    low: float
    high: float
    whole: bool
    nullable: bool

    def merged(self, other: "FieldType") -> "NumberField | None":
        """The type of the values that both admit; None if they are of different kinds."""
        if not isinstance(other, NumberField):
            return None
        bounds = max(self.low, other.low), min(self.high, other.high)
        return NumberField(*bounds, self.whole or other.whole, self.nullable and other.nullable)


@dataclass(frozen=True)
class ChoiceField:
    """One of the values, which are texts or `BOOLEANS`; `is_open` admits any other text."""

    values: tuple[Any, ...]
    nullable: bool
    is_open: bool = False

    def merged(self, other: "FieldType") -> "ChoiceField | None":
        """See `NumberField.merged`."""
        if not isinstance(other, ChoiceField) or (self.values == BOOLEANS) != (other.values == BOOLEANS):
            return None
        if self.is_open and other.is_open:
            values = tuple(dict.fromkeys(self.values + other.values))
        else:
            values = tuple(value for value in self.values if other.is_open or value in other.values)
        return ChoiceField(values, self.nullable and other.nullable, self.is_open and other.is_open)


FieldType = NumberField | ChoiceField


@dataclass(frozen=True, eq=False)
class RequestFields:
    """Raw fields of a request and their types, in the order of the codes: whole numbers, other numbers, choices."""

    types: Mapping[str, FieldType]

    @classmethod
    def of(cls, types: Iterable[tuple[str, FieldType | None]]) -> Self | None:
        """The fields of all encodings, each given as its raw column and its type; None if a field has no type."""
        by_column: dict[str, list[FieldType | None]] = {}
        for column, each in types:
            by_column.setdefault(column, []).append(each)
        merged = {column: reduce(_merged, every) for column, every in by_column.items()}
        known = {column: each for column, each in merged.items() if each is not None}
        return (
            cls(dict(sorted(known.items(), key=lambda item: _rank(item[1])))) if len(known) == len(merged) else None
        )

    @cached_property
    def names(self) -> Sequence[str]:
        return tuple(self.types)

    @cached_property
    def whole(self) -> int:
        """Count of fields with whole numbers."""
        return sum(_rank(each) == 0 for each in self.types.values())

    @cached_property
    def numbers(self) -> int:
        """Count of fields with numbers; choices follow."""
        return sum(_rank(each) < 2 for each in self.types.values())


def _merged(one: FieldType | None, other: FieldType | None) -> FieldType | None:
    return None if one is None or other is None else one.merged(other)


def _rank(each: FieldType) -> int:
    if isinstance(each, ChoiceField):
        return 2
    return 0 if each.whole else 1
