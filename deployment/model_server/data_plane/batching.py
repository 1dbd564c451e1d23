"""Request batching: one model run for all requests that are waiting for the same model.

No request waits for another to arrive. A batch holds the requests that arrived within one iteration of the event
loop. Each run hands the interpreter lock to the I/O threads and takes it back, which costs more than most models do.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from prometheus_client import Histogram

from deployment.model_server.http.scoring_request import ScoringRequest
from deployment.model_server.models.contract_model import ContractModel, LoadedModel

MAX_BATCH_ROWS = 128  # so that a batch does not block the event loop for long
MAX_SHARED_ROWS = MAX_BATCH_ROWS // 2  # a larger request gains nothing from a batch: no other one of its size fits
_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128)


@dataclass
class _Batch:
    """Requests of one endpoint for one model, each with the future of its response body."""

    endpoint: str
    model: ContractModel
    rows: int = 0
    requests: list[ScoringRequest] = field(default_factory=list)
    futures: list[asyncio.Future[bytes]] = field(default_factory=list)


class RequestBatcher:
    """Runs models in the event loop, with waiting requests as one batch."""

    def __init__(self) -> None:
        self.sizes = Histogram(
            "model_server_batch_requests",
            "Scoring requests in one run of a model.",
            ["endpoint"],
            buckets=_BUCKETS,
            registry=None,
        )
        self._batches: dict[tuple[str, int], _Batch] = {}

    def submit(self, endpoint: str, model: ContractModel, request: ScoringRequest) -> asyncio.Future[bytes]:
        """Add a request to the current batch.

        Returns:
            The future of its response body or exception. Other requests in the batch do not affect either.
        """
        loop, key = asyncio.get_running_loop(), (endpoint, id(model))
        batch = self._batches.get(key)
        if batch is None or batch.rows + request.size > MAX_BATCH_ROWS:
            batch = self._batches[key] = _Batch(endpoint, model)
            loop.call_soon(self._run, key, batch)
        future = loop.create_future()
        batch.rows += request.size
        batch.requests.append(request)
        batch.futures.append(future)
        return future

    def _run(self, key: tuple[str, int], batch: _Batch) -> None:
        if self._batches.get(key) is batch:
            del self._batches[key]
        self.sizes.labels(batch.endpoint).observe(len(batch.requests))
        for future, outcome in zip(batch.futures, _outcomes(batch.model, batch.requests), strict=True):
            if future.done():  # the caller disconnected
                continue
            if isinstance(outcome, bytes):
                future.set_result(outcome)
            else:
                future.set_exception(outcome)


class ModelRaised(Exception):
    """A model raised an exception that would stop more than its request, such as KeyboardInterrupt."""


def predict(model: LoadedModel, request: ScoringRequest) -> bytes:
    """The response body for a request.

    Raises:
        Exception: from the model. A future and a task can carry it, which is not true of every exception.
    """
    try:
        return model.predictions(request)
    except StopIteration as err:
        raise ModelRaised(repr(err)) from err
    except Exception:
        raise
    except BaseException as err:
        raise ModelRaised(repr(err)) from err


def _outcomes(model: ContractModel, requests: Sequence[ScoringRequest]) -> list[bytes | Exception]:
    """The response body or the exception of each request."""
    if len(requests) > 1:
        # If the batch fails, run each request separately: only then is it clear which one failed, and why.
        with suppress(BaseException):
            bodies: list[bytes | Exception] = [*model.batch_predictions(requests)]
            if len(bodies) == len(requests):
                return bodies
    return [_outcome(model, request) for request in requests]


def _outcome(model: ContractModel, request: ScoringRequest) -> bytes | Exception:
    try:
        return predict(model, request)
    except Exception as err:  # noqa: BLE001  (raised again where the future is awaited)
        return err
