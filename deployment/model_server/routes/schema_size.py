"""Sizes of JSON values: limits for a schema without any, and the bytes of the largest value that a schema admits."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from scoring.encodings import JsonSchema

TEXT_LENGTH = 255  # characters of a text without a limit of its own
LIST_LENGTH = 100  # values of a list without one
NUMBER_BYTES = 24  # -1.2345678901234567e-308: no double needs more
ESCAPED = 12  # bytes of a character beyond the basic plane, as json.dumps writes it
ANYTHING_BYTES = 1000  # assumed where a signature declares no type
_INNER = ("items", "additionalProperties")
_ALTERNATIVES = ("anyOf", "oneOf", "allOf", "prefixItems")


def bounded(schema: JsonSchema) -> JsonSchema:
    """The schema with a limit on each text and each list that has none.

    >>> bounded({"type": ["string", "null"]})
    {'type': ['string', 'null'], 'maxLength': 255}
    """
    result = dict(schema)
    if "enum" in result or "const" in result:
        return result
    types = _types(schema)
    if "string" in types:
        result.setdefault("maxLength", TEXT_LENGTH)
    if "array" in types and "prefixItems" not in result:
        result.setdefault("maxItems", LIST_LENGTH)
    for key in _INNER:
        if isinstance(result.get(key), Mapping):
            result[key] = bounded(result[key])
    for key in _ALTERNATIVES:
        if key in result:
            result[key] = [bounded(each) for each in result[key]]
    if "properties" in result:
        result["properties"] = {name: bounded(each) for name, each in result["properties"].items()}
    return result


def largest(schema: JsonSchema) -> int:
    """Bytes of the largest value that a bounded schema admits, with a blank after each comma and colon.

    >>> largest({"type": "boolean"}), largest({"enum": ["a", None]}), largest({"type": "string", "maxLength": 2})
    (5, 4, 26)
    >>> largest({"type": "object", "properties": {"n": {"type": "null"}}}) == len('{"n": null}') + 2
    True
    """
    if "const" in schema:
        return _written(schema["const"])
    if "enum" in schema:
        return max(map(_written, schema["enum"]))
    if "allOf" in schema:
        return min(map(largest, schema["allOf"]))
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return max(map(largest, schema[key]))
    return max((_OF_TYPE[each](schema) for each in _types(schema)), default=ANYTHING_BYTES)


def _types(schema: JsonSchema) -> list[str]:
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else list(types)


def _written(value: Any) -> int:
    return len(json.dumps(value))


def _text(schema: JsonSchema) -> int:
    return 2 + ESCAPED * int(schema.get("maxLength", TEXT_LENGTH))


def _list(schema: JsonSchema) -> int:
    if "prefixItems" in schema:
        return 2 + sum(largest(each) + 2 for each in schema["prefixItems"])
    return 2 + int(schema.get("maxItems", LIST_LENGTH)) * (largest(schema.get("items", {})) + 2)


def _object(schema: JsonSchema) -> int:
    size = 2 + sum(_written(name) + 4 + largest(each) for name, each in schema.get("properties", {}).items())
    if isinstance(other := schema.get("additionalProperties"), Mapping):
        name = _text(schema.get("propertyNames", {}))
        size += int(schema.get("maxProperties", LIST_LENGTH)) * (name + 4 + largest(dict(other)))
    return size


_OF_TYPE: Mapping[str, Callable[[JsonSchema], int]] = {
    "null": lambda _: 4,
    "boolean": lambda _: 5,
    "integer": lambda _: NUMBER_BYTES,
    "number": lambda _: NUMBER_BYTES,
    "string": _text,
    "array": _list,
    "object": _object,
}
