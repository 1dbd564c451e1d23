"""One row of a payload table as records and predictions, or the reason why it is left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from deployment.model_server.http.errors import ApiError
from deployment.model_server.http.scoring_request import parse

ANY_SIZE = 10**9
SUCCESS = 200
# Why a row, or its predictions, are left out: counted in the report under these words.
REASONS = (
    "request body is not in the log (too large, or not redacted)",
    "request body is no JSON",
    "request has no named records",
    "response is no JSON with one prediction per record",
)
NO_BODY, NO_JSON, NO_RECORDS, NO_PREDICTIONS = range(len(REASONS))


@dataclass(frozen=True)
class Exchanged:
    """The records of a request and the monitored field of each prediction.

    Attributes:
        predictions: empty for a request that was refused or failed.
        reason: index in `REASONS` if the predictions of a successful request cannot be read.
    """

    records: Sequence[dict[str, Any]]
    predictions: Sequence[Any] = ()
    reason: int | None = None


def unpack(request: bytes | None, response: bytes | None, status: int, field: str) -> Exchanged | int:
    """Unpack a request in any of the four formats, and its response.

    Args:
        field: the response field with the prediction; empty if none is monitored.

    Returns:
        The records, or an index in `REASONS`.
    """
    if request is None:
        return NO_BODY
    try:
        body = orjson.loads(request)
    except orjson.JSONDecodeError:
        return NO_JSON
    records = _records(body)
    if records is None:
        return NO_RECORDS
    if status != SUCCESS or not field:
        return Exchanged(records)
    predictions = _predictions(response, field, len(records))
    return Exchanged(records, reason=NO_PREDICTIONS) if predictions is None else Exchanged(records, predictions)


def _records(body: Any) -> Sequence[dict[str, Any]] | None:
    if type(body) is dict and len(body) == 1:  # the usual form needs no further check
        rows = body.get("dataframe_records")
        if type(rows) is list and rows and all(type(row) is dict for row in rows):
            return rows
    try:
        return parse(body, ANY_SIZE).rows
    except ApiError:
        return None


def _predictions(response: bytes | None, field: str, rows: int) -> list[Any] | None:
    found = response_fields(response, (field,), rows)
    return None if found is None else [value for (value,) in found]


def response_fields(response: bytes | None, fields: Sequence[str], rows: int) -> list[tuple[Any, ...]] | None:
    """Some fields of each prediction of a response; None if it has not one prediction per record, with each field."""
    try:
        found = orjson.loads(response or b"")["predictions"]
        if len(found) != rows:
            return None
        return [tuple(each[field] for field in fields) for each in found]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
