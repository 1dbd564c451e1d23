"""Redaction for the request log: hides the values of listed columns in requests and responses."""

import json
from collections.abc import Set
from typing import Any

import orjson

from deployment.model_server.http.scoring_request import EXTRA_FIELDS, FORMATS

REDACTED = "[redacted]"


def redact_request(columns: Set[str], body: bytes) -> str:
    """Redact the values of these columns in the body of a request, in any format.

    Raises:
        ValueError: the body is not JSON, or has values without column names, so that redaction is impossible.
        RecursionError: the body is nested too deeply.
    """
    request = orjson.loads(body)
    if not isinstance(request, dict) or not all(_has_named_values(*field) for field in request.items()):
        raise ValueError("values without names")
    return json.dumps(_redacted(columns, request))


def redact_response(columns: Set[str], body: bytes, status: int) -> str:
    """Redact the values of these columns in a response. An error keeps only its code: its message quotes values."""
    response = orjson.loads(body)
    return json.dumps(_redacted(columns, response) if status == 200 else {"error_code": response.get("error_code")})


def _has_named_values(field: str, value: Any) -> bool:
    """True if every value in a field of a body belongs to a named column.

    >>> _has_named_values("instances", [{"age": 41}]), _has_named_values("instances", [[41]])
    (True, False)
    """
    if field in EXTRA_FIELDS:
        return not isinstance(value, list)
    if field == "dataframe_split":
        return isinstance(value, dict) and all(isinstance(value.get(key), list) for key in ("columns", "data"))
    rows = value if isinstance(value, list) else [value]
    return field in FORMATS and all(isinstance(row, dict) for row in rows)


def _redacted(columns: Set[str], value: Any) -> Any:
    """Redact fields by name, and in a split frame the cells of the columns.

    >>> _redacted({"age"}, {"dataframe_split": {"columns": ["age", "n"], "data": [[41, 2]]}})
    {'dataframe_split': {'columns': ['age', 'n'], 'data': [['[redacted]', 2]]}}
    >>> _redacted({"age"}, {"inputs": {"age": [41], "n": [2]}})
    {'inputs': {'age': '[redacted]', 'n': [2]}}
    """
    if isinstance(value, list):
        return [_redacted(columns, each) for each in value]
    if not isinstance(value, dict):
        return value
    redacted = {name: REDACTED if name in columns else _redacted(columns, each) for name, each in value.items()}
    if isinstance(names := value.get("columns"), list) and isinstance(rows := value.get("data"), list):
        redacted["data"] = [_row(columns, names, row) for row in rows]
    return redacted


def _row(columns: Set[str], names: list[Any], row: Any) -> Any:
    if not isinstance(row, list) or len(row) != len(names):
        return REDACTED
    visible = [isinstance(name, str) and name not in columns for name in names]
    return [_redacted(columns, each) if show else REDACTED for show, each in zip(visible, row, strict=True)]
