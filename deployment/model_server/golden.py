"""The request that a model version brings along, and the answer it gave when it was registered."""

import json
import math
from collections.abc import Mapping
from typing import Any

from deployment.model_server.errors import ApiError
from deployment.model_server.scoring_request import FORMATS, parse

REQUEST, ANSWER = "golden_request", "golden_answer"


class GoldenMismatch(Exception):
    """A model does not answer its own request as it did when it was registered."""


def check(metadata: Mapping[str, Any], predictions: Any) -> None:
    """Let a model answer its golden request, which also warms it up; without one nothing happens.

    Args:
        metadata: of the model version: `golden_request` is one row, a list of rows or a body in one of the four
            formats; `golden_answer`, if there, is one answer or a list of them.
        predictions: from a `ScoringRequest` to the body of the answer.

    Raises:
        GoldenMismatch: it refuses the request, or answers another thing.
    """
    if metadata.get(REQUEST) is None:
        return
    try:
        found = json.loads(predictions(parse(_body(metadata[REQUEST]), max_rows=1_000)))["predictions"]
    except ApiError as err:
        raise GoldenMismatch(f"it refuses its own golden request: {err.failed}") from err
    expected = metadata.get(ANSWER)
    if expected is not None and not agree(found, rows_of(expected)):
        raise GoldenMismatch(f"it answers its golden request with {found}, and answered {expected} when registered")


def rows_of(said: Any) -> list[Any]:
    """What a version brings along as rows; one that brings a single row says it without a list.

    >>> rows_of({"age": 41}), rows_of([{"age": 41}, {"age": None}])
    ([{'age': 41}], [{'age': 41}, {'age': None}])
    """
    return said if isinstance(said, list) else [said]


def agree(found: Any, expected: Any) -> bool:
    """Equal, but for the last digits of numbers, which differ between machines.

    >>> agree([{"p": 0.30000000000000004}], [{"p": 0.3}]), agree([{"p": 0.31}], [{"p": 0.3}]), agree(1, True)
    (True, False, False)
    """
    if isinstance(found, dict) and isinstance(expected, dict):
        return found.keys() == expected.keys() and all(agree(found[key], expected[key]) for key in found)
    if isinstance(found, list) and isinstance(expected, list):
        return len(found) == len(expected) and all(map(agree, found, expected))
    if isinstance(found, float) or isinstance(expected, float):
        numbers = isinstance(found, int | float) and isinstance(expected, int | float)
        return numbers and math.isclose(found, expected, rel_tol=1e-6, abs_tol=1e-9)
    return type(found) is type(expected) and bool(found == expected)


def _body(request: Any) -> Any:
    if isinstance(request, list):
        return {"dataframe_records": request}
    if isinstance(request, dict) and not request.keys() & FORMATS.keys():
        return {"dataframe_records": [request]}
    return request
