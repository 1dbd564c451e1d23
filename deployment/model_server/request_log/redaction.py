"""What a request log may not hold: the values of listed columns, in requests and in answers."""

import json
from collections.abc import Set
from typing import Any

import orjson

from deployment.model_server.http.scoring_request import BESIDE, FORMATS

HIDDEN = "[redacted]"


def request_without(columns: Set[str], body: bytes) -> str:
    """The body of a request with the values of these columns hidden, whatever its format.

    Raises:
        ValueError: it is no JSON, or has values without names, and nobody can say which are of these columns.
        RecursionError: it is nested too deeply.
    """
    request = orjson.loads(body)
    if not isinstance(request, dict) or not all(_names_its_values(*field) for field in request.items()):
        raise ValueError("values without names")
    return json.dumps(_hidden(columns, request))


def answer_without(columns: Set[str], body: bytes, status: int) -> str:
    """The body of an answer likewise; of a refusal only its code, since its words quote values."""
    answer = orjson.loads(body)
    return json.dumps(_hidden(columns, answer) if status == 200 else {"error_code": answer.get("error_code")})


def _names_its_values(field: str, value: Any) -> bool:
    """Whether each value in a field of a body stands under the name of its column.

    >>> _names_its_values("instances", [{"age": 41}]), _names_its_values("instances", [[41]])
    (True, False)
    """
    if field in BESIDE:
        return not isinstance(value, list)
    if field == "dataframe_split":
        return isinstance(value, dict) and all(isinstance(value.get(part), list) for part in ("columns", "data"))
    rows = value if isinstance(value, list) else [value]
    return field in FORMATS and all(isinstance(row, dict) for row in rows)


def _hidden(columns: Set[str], value: Any) -> Any:
    """Hide fields by name, and of a split frame the places that belong to a column.

    >>> _hidden({"age"}, {"dataframe_split": {"columns": ["age", "n"], "data": [[41, 2]]}})
    {'dataframe_split': {'columns': ['age', 'n'], 'data': [['[redacted]', 2]]}}
    >>> _hidden({"age"}, {"inputs": {"age": [41], "n": [2]}})
    {'inputs': {'age': '[redacted]', 'n': [2]}}
    """
    if isinstance(value, list):
        return [_hidden(columns, each) for each in value]
    if not isinstance(value, dict):
        return value
    hidden = {name: HIDDEN if name in columns else _hidden(columns, each) for name, each in value.items()}
    if isinstance(names := value.get("columns"), list) and isinstance(rows := value.get("data"), list):
        hidden["data"] = [_row(columns, names, row) for row in rows]
    return hidden


def _row(columns: Set[str], names: list[Any], row: Any) -> Any:
    if not isinstance(row, list) or len(row) != len(names):
        return HIDDEN
    shown = [isinstance(name, str) and name not in columns for name in names]
    return [_hidden(columns, each) if show else HIDDEN for show, each in zip(shown, row, strict=True)]
