"""Requests generated from the OpenAPI document of an endpoint: valid ones, near misses, and noise."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

JsonSchema = Mapping[str, Any]
NOISE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
# Literals outside strict JSON that JSON libraries accept; numbers out of range; duplicate keys; invalid text.
LITERALS = (
    "NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 400, "9" * 20, '"\\ud800"', "01", "'x'", "undefined",
    '{"a":1,"a":1}', "[" * 5000, "null", "-0", "1e-400", '"' + "x" * 70_000 + '"',
)  # fmt: skip
CONTENT_TYPES = ("text/csv", "application/json; charset=utf-16", "application/x-www-form-urlencoded", "", "json", "é")


@dataclass(frozen=True)
class Generated:
    """A scoring request with the response that the document requires.

    Attributes:
        kind: kind of generation.
        body: bytes to send.
        fits: True: 200; False: 4xx; None: either.
        rows: expected number of predictions; None if the request is refused or may be refused.
    """

    kind: str
    body: bytes
    fits: bool | None
    rows: int | None = None
    content_type: str = "application/json"


def row_schema(document: Mapping[str, Any], path: str) -> JsonSchema:
    """The schema of one record for a path."""
    schema = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    records = next(each for each in schema["oneOf"] if "dataframe_records" in each["required"])
    row: JsonSchema = records["properties"]["dataframe_records"]["items"]
    return row


def values_of(schema: JsonSchema) -> SearchStrategy[Any]:
    """Valid values of a schema, including its bounds."""
    if "allOf" in schema:
        return values_of({key: value for each in schema["allOf"] for key, value in each.items()})
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return st.one_of([_of_type(each, schema) for each in types])


def rows_of(schema: JsonSchema) -> SearchStrategy[dict[str, Any]]:
    """Valid records of a schema."""
    return st.fixed_dictionaries({name: values_of(each) for name, each in schema["properties"].items()})


def requests_of(schema: JsonSchema) -> SearchStrategy[Generated]:
    """Requests of every kind for records of a schema."""
    rows = st.lists(rows_of(schema), min_size=1, max_size=3)
    return st.one_of(
        rows.flatmap(_fitting), _near_misses(schema, rows), _broken_text(rows), NOISE.map(_noise),
        st.binary(max_size=200).map(lambda body: Generated("bytes", body, False if not _is_json(body) else None)),
        st.tuples(rows, st.sampled_from(CONTENT_TYPES)).map(
            lambda made: Generated("content type", _text({"instances": made[0]}), False, content_type=made[1])
        ),
    )  # fmt: skip


def _of_type(kind: str, schema: JsonSchema) -> SearchStrategy[Any]:
    low, high = schema.get("minimum"), schema.get("maximum")
    if kind == "integer":
        whole = st.integers(None if low is None else int(low), None if high is None else int(high))
        return whole | whole.filter(lambda number: abs(number) < 2**53).map(float)
    if kind == "number":
        return st.floats(low, high, allow_nan=False, allow_infinity=False)
    simple: dict[str, SearchStrategy[Any]] = {
        "null": st.none(), "boolean": st.booleans(), "string": st.text(max_size=30), "array": st.lists(NOISE)
    }  # fmt: skip
    return simple[kind]


def _fitting(rows: list[dict[str, Any]]) -> SearchStrategy[Generated]:
    columns = list(rows[0])
    bodies: list[dict[str, Any]] = [
        {"dataframe_records": rows},
        {"dataframe_split": {"columns": columns, "data": [[row[column] for column in columns] for row in rows]}},
        {"instances": rows},
        {"inputs": rows},
        {"inputs": {column: [row[column] for row in rows] for column in columns}},
        {"dataframe_records": rows, "client_request_id": "7", "usage_context": {"a": "b"}, "params": {}},
    ]
    return st.sampled_from([Generated("fitting", _text(body), True, len(rows)) for body in bodies])


def _near_misses(schema: JsonSchema, rows: SearchStrategy[list[dict[str, Any]]]) -> SearchStrategy[Generated]:
    """Valid rows with one noisy value, one missing field, or one additional field."""

    def change(rows: list[dict[str, Any]], number: int, field: str, noise: Any, how: str) -> Generated:
        changed = [dict(row) for row in rows]
        row = changed[number % len(rows)]
        if how == "value":
            row[field] = noise
        elif how == "missing":
            del row[field]
        else:
            row[f"{field} too"] = noise
        return Generated(how, _text({"dataframe_records": changed}), None if how == "value" else False)

    fields, ways = st.sampled_from(sorted(schema["properties"])), st.sampled_from(["value", "missing", "too many"])
    return st.builds(change, rows, st.integers(0, 9), fields, NOISE, ways)


def _broken_text(rows: SearchStrategy[list[dict[str, Any]]]) -> SearchStrategy[Generated]:
    """A literal in place of a value, or a truncated text."""

    def put(rows: list[dict[str, Any]], literal: str) -> Generated:
        marked = [{**rows[0], next(iter(rows[0])): "here"}, *rows[1:]]
        text = json.dumps({"dataframe_records": marked}).replace('"here"', literal, 1)
        return Generated("literal", text.encode(), None)

    def cut(rows: list[dict[str, Any]], share: float) -> Generated:
        whole = _text({"dataframe_records": rows})
        return Generated("cut off", whole[: int(len(whole) * share)], False)

    literals = st.sampled_from(LITERALS)
    return st.builds(put, rows, literals) | st.builds(cut, rows, st.floats(0, 0.99))


def _noise(value: Any) -> Generated:
    return Generated("noise", _text(value), False)


def _text(value: Any) -> bytes:
    return json.dumps(value).encode()


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True
