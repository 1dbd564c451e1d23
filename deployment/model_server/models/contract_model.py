"""Loaded models, and the models of this project, which check each row of a request."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from deployment.model_server.http.errors import ApiError
from deployment.model_server.http.record_decoder import RecordDecoder
from deployment.model_server.http.responses import serialise
from deployment.model_server.http.scoring_request import ScoringRequest
from deployment.model_server.models.isolated_model import IsolatedModel
from deployment.model_server.request_log.payload_table import NO_RULE, LogRule
from scoring.contract import ContractViolation
from scoring.key_lookup import KeyedRows
from scoring.record_table import RecordTable
from scoring.scorer import Scorer

WORKER_ROWS = 16  # from here on, prediction takes longer than passing the request to another process
PredictRows = Callable[[Sequence[dict[str, Any]]], list[dict[str, Any]]]


class LoadedModel(Protocol):
    """A model that is ready to predict."""

    def predictions(self, request: ScoringRequest) -> bytes:
        """The response body for a request.

        Raises:
            ApiError: the request does not fit the model.
        """
        ...


@dataclass(frozen=True)
class KeyedScorer:
    """Predicts records that may contain only the key of an entity; looks up the missing features."""

    scorer: Scorer
    rows: KeyedRows

    def predict_rows(self, records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        return self.scorer.respond_to_rows(self.rows.rows(records), records)


@dataclass(frozen=True)
class ContractModel:
    """A model of this project. It validates each row and reports row and field of invalid values.

    Attributes:
        inline_rows: up to this many rows are predicted in the calling thread, which is faster than starting another.
        log_rule: rule of the request log for this version.
        decoder: decodes large requests; None if the fields of a record are not fixed.
        workers: predict requests of `WORKER_ROWS` rows or more, if the server has workers.
    """

    predict_rows: PredictRows
    inline_rows: int = 0
    log_rule: LogRule = NO_RULE
    decoder: RecordDecoder | None = None
    workers: IsolatedModel | None = None

    def predictions(self, request: ScoringRequest) -> bytes:
        if request.rows is None:
            raise ApiError.wrong_value(0, "", "an object with named fields", "a list or a single value")
        if request.params:
            raise ApiError.bad_request(f"The model takes no params, but got {', '.join(request.params)}"[:300])
        try:
            return _body(self.predict_rows(request.rows))
        except ContractViolation as err:
            problems = [problem.as_dict() for problem in err.problems]
            raise ApiError.bad_request(err.failed, problems=problems, found=err.found) from err

    def batch_predictions(self, requests: Sequence[ScoringRequest]) -> list[bytes]:
        """The response bodies for several requests, from one run of the model.

        Raises:
            Exception: some request failed; call `predictions` with each to find which one, and why.
        """
        if any(request.rows is None or request.params for request in requests):
            raise ValueError("a request without rows, or with params")
        predictions = iter(self.predict_rows(_joined([request.rows or () for request in requests])))
        return [_body(list(islice(predictions, request.size))) for request in requests]


def _joined(rows: Sequence[Sequence[dict[str, Any]]]) -> Sequence[dict[str, Any]]:
    """The rows of several requests; those of tables with the same fields stay a table."""
    tables = [each for each in rows if isinstance(each, RecordTable)]
    if len(tables) == len(rows) and len({id(table.fields) for table in tables}) == 1:
        return RecordTable.joined(tables)
    return [row for each in rows for row in each]


def _body(predictions: list[dict[str, Any]]) -> bytes:
    return serialise({"predictions": predictions})
