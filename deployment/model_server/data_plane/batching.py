"""Requests that wait for one model at one moment are answered by one run of it.

Nothing waits for another request to come: what has arrived when the event loop comes round is answered together.
Each run hands the interpreter to the threads that read and write, and takes it back: more work than most models are.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from prometheus_client import Histogram

from deployment.model_server.http.scoring_request import ScoringRequest
from deployment.model_server.models.loader import ContractModel

ROWS = 128  # of a run at most, so that other requests get their turn
_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128)


@dataclass
class _Batch:
    """Requests of one endpoint for one model, and where each answer is awaited."""

    endpoint: str
    model: ContractModel
    rows: int = 0
    requests: list[ScoringRequest] = field(default_factory=list)
    answers: list[asyncio.Future[bytes]] = field(default_factory=list)


class Batching:
    """Answers requests in the event loop, together where several wait."""

    def __init__(self) -> None:
        self.sizes = Histogram(
            "model_server_batch_requests",
            "Scoring requests that one run of a model answered.",
            ["endpoint"],
            buckets=_BUCKETS,
            registry=None,
        )
        self._batches: dict[tuple[str, int], _Batch] = {}

    def answer(self, endpoint: str, model: ContractModel, request: ScoringRequest) -> asyncio.Future[bytes]:
        """The body of the answer, or the ApiError of a request that does not fit; the others change nothing of it."""
        loop, key = asyncio.get_running_loop(), (endpoint, id(model))
        batch = self._batches.get(key)
        if batch is None or batch.rows + request.size > ROWS:
            batch = self._batches[key] = _Batch(endpoint, model)
            loop.call_soon(self._run, key, batch)
        answer = loop.create_future()
        batch.rows += request.size
        batch.requests.append(request)
        batch.answers.append(answer)
        return answer

    def _run(self, key: tuple[str, int], batch: _Batch) -> None:
        if self._batches.get(key) is batch:
            del self._batches[key]
        self.sizes.labels(batch.endpoint).observe(len(batch.requests))
        for answer, outcome in zip(batch.answers, _outcomes(batch.model, batch.requests), strict=True):
            if answer.done():  # its caller has gone
                continue
            if isinstance(outcome, bytes):
                answer.set_result(outcome)
            else:
                answer.set_exception(outcome)


def _outcomes(model: ContractModel, requests: Sequence[ScoringRequest]) -> list[bytes | Exception]:
    """Of each request what comes of it alone."""
    if len(requests) > 1:
        # Whose a failure is, and what it says, is seen where each is answered alone.
        with suppress(Exception):
            return [*model.together(requests)]
    return [_outcome(model, request) for request in requests]


def _outcome(model: ContractModel, request: ScoringRequest) -> bytes | Exception:
    try:
        return model.predictions(request)
    except Exception as err:  # noqa: BLE001  (raised again where the answer is awaited)
        return err
