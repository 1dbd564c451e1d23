"""A scoring request: the four formats that Databricks takes, brought to rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from deployment.model_server.http.errors import ApiError

RequestRecord = dict[str, Any]
BESIDE = frozenset({"client_request_id", "usage_context", "params"})


@dataclass(frozen=True)
class ScoringRequest:
    """Rows with named fields, or a tensor (nested lists) of which the first dimension is the rows."""

    rows: list[RequestRecord] | None
    tensor: list[Any] | None = None
    client_request_id: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return len(self.rows if self.rows is not None else self.tensor or [])


def parse(body: Any, max_rows: int) -> ScoringRequest:
    """Bring a decoded body to rows.

    Raises:
        ApiError: none or several formats, ragged rows, no rows, more than `max_rows`, unknown fields (400).
    """
    if not isinstance(body, dict):
        raise ApiError.bad_request(f"The body must be an object with {_FORMAT_NAMES}, and is {kind(body)}.")
    given = [name for name in FORMATS if name in body]
    if len(given) != 1:
        found = (
            f"it has {' and '.join(given)}" if given else f"it has {', '.join(map(repr, body)) or 'no fields'}"[:200]
        )
        raise ApiError.bad_request(f"The body must have exactly one of {_FORMAT_NAMES}; {found}.")
    if unknown := sorted(body.keys() - BESIDE - set(given)):
        raise ApiError.bad_request(f"Not supported beside '{given[0]}': {', '.join(unknown)[:200]}.")
    request_id = body.get("client_request_id")
    if request_id is not None and not isinstance(request_id, str):
        raise ApiError.bad_request(f"client_request_id must be text, and is {kind(request_id)}.")
    context = body.get("usage_context")
    if context is not None and not isinstance(context, dict):
        raise ApiError.bad_request(f"usage_context must be an object, and is {kind(context)}.")
    params = {} if body.get("params") is None else body["params"]
    if not isinstance(params, dict):
        raise ApiError.bad_request(f"params must be an object, and is {kind(params)}.")
    rows, tensor = FORMATS[given[0]](given[0], body[given[0]])
    request = ScoringRequest(rows, tensor, request_id, params)
    if not 1 <= request.size <= max_rows:
        raise ApiError.bad_request(f"'{given[0]}' has {request.size} rows; send 1 to {max_rows}.")
    return request


def kind(value: Any) -> str:
    """The JSON name of a value's type.

    >>> kind(None), kind([1]), kind(True), kind(2.5)
    ('null', 'a list', 'true or false', 'a number')
    """
    names = {type(None): "null", bool: "true or false", str: "text", list: "a list", dict: "an object"}
    return names.get(type(value), "a number")


Parsed = tuple[list[RequestRecord] | None, list[Any] | None]


def _records(name: str, value: Any) -> Parsed:
    for number, row in enumerate(_list(name, value)):
        if not isinstance(row, dict):
            raise ApiError.wrong_value(number, "", "an object of named fields", kind(row))
    return value, None


def _split(name: str, value: Any) -> Parsed:
    if not isinstance(value, dict) or value.keys() - {"index"} != {"columns", "data"}:
        got = f"an object with {sorted(value)}"[:200] if isinstance(value, dict) else kind(value)
        raise ApiError.bad_request(f"'{name}' must be an object with 'columns' and 'data', and is {got}.")
    columns = _list(f"{name}.columns", value["columns"])
    if not all(isinstance(column, str) for column in columns) or len(set(columns)) < len(columns):
        raise ApiError.bad_request(f"'{name}.columns' must be names that differ, and is {columns}"[:300])
    data = _list(f"{name}.data", value["data"])
    _list(f"{name}.index", value.get("index", []))
    for number, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(columns):
            got = f"{len(row)} value(s)" if isinstance(row, list) else kind(row)
            raise ApiError.wrong_value(number, "", f"a list of {len(columns)} value(s)", got)
    return [dict(zip(columns, row, strict=True)) for row in data], None


def _instances(name: str, value: Any) -> Parsed:
    rows = _list(name, value)
    if rows and isinstance(rows[0], dict):
        return _records(name, rows)
    for number, row in enumerate(rows):
        if isinstance(row, dict):
            raise ApiError.wrong_value(number, "", f"{kind(rows[0])}, as row 0 is", kind(row))
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
        raise ApiError.bad_request(f"'{name}' must be a list, and is {kind(value)}.")
    return value


FORMATS: dict[str, Callable[[str, Any], Parsed]] = {
    "dataframe_records": _records,
    "dataframe_split": _split,
    "instances": _instances,
    "inputs": _inputs,
}
_FORMAT_NAMES = ", ".join(FORMATS)
