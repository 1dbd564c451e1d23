"""Scoring requests: the four formats of Databricks, converted to rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deployment.model_server.http.errors import ApiError
from lakehouse.wording import number_of

RequestRecord = dict[str, Any]
EXTRA_FIELDS = frozenset({"client_request_id", "usage_context", "params"})


@dataclass(frozen=True)
class ScoringRequest:
    """Rows with named fields, or a tensor as nested lists, whose first dimension is the rows."""

    rows: Sequence[RequestRecord] | None
    tensor: list[Any] | None = None
    client_request_id: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return len(self.rows if self.rows is not None else self.tensor or [])


def parse(body: Any, max_rows: int) -> ScoringRequest:
    """Convert a decoded body to rows.

    Raises:
        ApiError: none or several formats, ragged rows, no rows, more than `max_rows`, unknown fields (400).
    """
    if not isinstance(body, dict):
        raise ApiError.bad_request(f"The body must be an object with {_FORMAT_NAMES}, but is {json_type(body)}.")
    formats = [name for name in FORMATS if name in body]
    if len(formats) != 1:
        fields = " and ".join(formats) if formats else (", ".join(map(repr, body)) or "no fields")[:193]
        raise ApiError.bad_request(f"The body must have exactly one of {_FORMAT_NAMES}; it has {fields}.")
    if unknown := sorted(body.keys() - EXTRA_FIELDS - set(formats)):
        raise ApiError.bad_request(f"Unknown fields next to '{formats[0]}': {', '.join(unknown)[:200]}.")
    request_id = body.get("client_request_id")
    if request_id is not None and not isinstance(request_id, str):
        raise ApiError.bad_request(f"client_request_id must be text, but is {json_type(request_id)}.")
    context = body.get("usage_context")
    if context is not None and not isinstance(context, dict):
        raise ApiError.bad_request(f"usage_context must be an object, but is {json_type(context)}.")
    params = {} if body.get("params") is None else body["params"]
    if not isinstance(params, dict):
        raise ApiError.bad_request(f"params must be an object, but is {json_type(params)}.")
    rows, tensor = FORMATS[formats[0]](formats[0], body[formats[0]])
    request = ScoringRequest(rows, tensor, request_id, params)
    if not 1 <= request.size <= max_rows:
        raise ApiError.bad_request(f"'{formats[0]}' has {request.size} rows; send 1 to {max_rows}.")
    return request


def json_type(value: Any) -> str:
    """The JSON type of a value, for messages.

    >>> json_type(None), json_type([1]), json_type(True), json_type(2.5)
    ('null', 'a list', 'true or false', 'a number')
    """
    names = {type(None): "null", bool: "true or false", str: "text", list: "a list", dict: "an object"}
    return names.get(type(value), "a number")


Parsed = tuple[list[RequestRecord] | None, list[Any] | None]


def _records(name: str, value: Any) -> Parsed:
    for number, row in enumerate(_list(name, value)):
        if not isinstance(row, dict):
            raise ApiError.wrong_value(number, "", "an object with named fields", json_type(row))
    return value, None


def _split(name: str, value: Any) -> Parsed:
    if not isinstance(value, dict) or value.keys() - {"index"} != {"columns", "data"}:
        got = f"an object with {sorted(value)}"[:200] if isinstance(value, dict) else json_type(value)
        raise ApiError.bad_request(f"'{name}' must be an object with 'columns' and 'data', but is {got}.")
    columns = _list(f"{name}.columns", value["columns"])
    if not all(isinstance(column, str) for column in columns) or len(set(columns)) < len(columns):
        raise ApiError.bad_request(f"'{name}.columns' must be distinct names, but is {columns}"[:300])
    data = _list(f"{name}.data", value["data"])
    _list(f"{name}.index", value.get("index", []))
    for number, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(columns):
            got = number_of("value", len(row)) if isinstance(row, list) else json_type(row)
            raise ApiError.wrong_value(number, "", f"a list of {number_of('value', len(columns))}", got)
    return [dict(zip(columns, row, strict=True)) for row in data], None


def _instances(name: str, value: Any) -> Parsed:
    rows = _list(name, value)
    if rows and isinstance(rows[0], dict):
        return _records(name, rows)
    for number, row in enumerate(rows):
        if isinstance(row, dict):
            raise ApiError.wrong_value(number, "", f"{json_type(rows[0])} like row 0", json_type(row))
    return None, rows


def _inputs(name: str, value: Any) -> Parsed:
    if not isinstance(value, dict):
        return _instances(name, value)
    columns = {field: _list(f"{name}.{field}", values) for field, values in value.items()}
    sizes = {field: len(values) for field, values in columns.items()}
    if len(set(sizes.values())) > 1:
        raise ApiError.bad_request(f"The columns of '{name}' differ in length: {sizes}"[:300])
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)], None


def _list(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ApiError.bad_request(f"'{name}' must be a list, but is {json_type(value)}.")
    return value


FORMATS: dict[str, Callable[[str, Any], Parsed]] = {
    "dataframe_records": _records,
    "dataframe_split": _split,
    "instances": _instances,
    "inputs": _inputs,
}
_FORMAT_NAMES = ", ".join(FORMATS)
