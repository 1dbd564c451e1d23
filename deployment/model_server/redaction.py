"""What a request log may not hold: the values of listed columns, in requests and in answers."""

import json
from collections.abc import Set
from typing import Any

import orjson

HIDDEN = "[redacted]"


def request_without(columns: Set[str], body: bytes) -> str:
    """The body of a request with the values of these columns hidden, whatever its format.

    Raises:
        ValueError: it is no JSON, and nobody can say where such values stand.
    """
    return json.dumps(_hidden(columns, orjson.loads(body)))


def answer_without(columns: Set[str], body: bytes, status: int) -> str:
    """The body of an answer likewise; of a refusal only its code, since its words quote values."""
    answer = orjson.loads(body)
    return json.dumps(_hidden(columns, answer) if status == 200 else {"error_code": answer.get("error_code")})


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
    if isinstance(names := value.get("columns"), list) and isinstance(rows := value.get("data"), list):
        return value | {"data": [_row(columns, names, row) for row in rows]}
    return {name: HIDDEN if name in columns else _hidden(columns, each) for name, each in value.items()}


def _row(columns: Set[str], names: list[Any], row: Any) -> Any:
    if not isinstance(row, list) or len(row) != len(names):
        return HIDDEN
    return [HIDDEN if name in columns else each for name, each in zip(names, row, strict=True)]
