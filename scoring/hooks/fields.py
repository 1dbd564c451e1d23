"""Kinds of values in records and responses; a field has the same kind in every response of a version."""

from collections.abc import Mapping
from math import isfinite
from typing import Any, Literal

from pydantic import TypeAdapter

Kind = Literal["boolean", "integer", "number", "text"]
Fields = Mapping[str, Kind]
FIELDS: TypeAdapter[dict[str, Kind]] = TypeAdapter(dict[str, Kind])

KINDS: Mapping[type, Kind] = {bool: "boolean", int: "integer", float: "number", str: "text"}


def fields_of(record: Mapping[str, Any]) -> dict[str, Kind]:
    """The kind of each field, in order.

    Raises:
        ValueError: JSON or a table column cannot hold a value unchanged.

    >>> fields_of({"label": 1, "probability": 0.5, "band": "medium"})
    {'label': 'integer', 'probability': 'number', 'band': 'text'}
    """
    return {name: _kind(name, value) for name, value in record.items()}


def _kind(name: str, value: object) -> Kind:
    # The exact type: subclasses from numpy look like Python's numbers, but JSON refuses some.
    kind = KINDS.get(type(value))
    if kind is None or (isinstance(value, float) and not isfinite(value)):
        known = ", ".join(each.__name__ for each in KINDS)
        raise ValueError(f"'{name}' is {value!r:.60} ({type(value).__name__}), not one of finite {known}")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"'{name}' is {value!r:.60}, an integer of more than 64 bits")
    return kind
