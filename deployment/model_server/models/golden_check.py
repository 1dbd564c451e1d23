"""Replay of the golden request: the model server checks each version before it serves it."""

import json
from collections.abc import Mapping
from typing import Any

from deployment.model_server.http.errors import ApiError
from deployment.model_server.http.scoring_request import FORMATS, parse
from scoring.golden import REQUEST, RESPONSE, as_rows, nearly_equal


class GoldenMismatch(Exception):
    """A model does not reproduce the golden predictions recorded at registration."""


def check(metadata: Mapping[str, Any], predictions: Any) -> None:
    """Replay the golden request of a model, if it has one. This also warms the model up.

    Args:
        metadata: metadata of the model version. `golden_request` is one row, a list of rows, or a body in one of the
            four formats. `golden_response` is optional: one prediction or a list of predictions.
        predictions: function from a `ScoringRequest` to a response body.

    Raises:
        GoldenMismatch: the model refuses the request, or its predictions differ.
    """
    if metadata.get(REQUEST) is None:
        return
    try:
        predicted = json.loads(predictions(parse(_body(metadata[REQUEST]), max_rows=1_000)))["predictions"]
    except ApiError as err:
        raise GoldenMismatch(f"the model refuses its own golden request: {err.failed}") from err
    expected = metadata.get(RESPONSE)
    if expected is not None and not nearly_equal(predicted, as_rows(expected)):
        raise GoldenMismatch(f"the model predicts {predicted} for its golden request, but {expected} when registered")


def _body(request: Any) -> Any:
    if isinstance(request, list):
        return {"dataframe_records": request}
    if isinstance(request, dict) and not request.keys() & FORMATS.keys():
        return {"dataframe_records": [request]}
    return request
