"""The model server asks each version its golden request before it serves."""

import json
from collections.abc import Mapping
from typing import Any

from deployment.model_server.http.errors import ApiError
from deployment.model_server.http.scoring_request import FORMATS, parse
from scoring.golden import ANSWER, REQUEST, agree, rows_of


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


def _body(request: Any) -> Any:
    if isinstance(request, list):
        return {"dataframe_records": request}
    if isinstance(request, dict) and not request.keys() & FORMATS.keys():
        return {"dataframe_records": [request]}
    return request
