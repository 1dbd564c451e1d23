"""A version with foreign code, which answers in processes of its own."""

import asyncio
import json
import time
import weakref
from typing import Any

from deployment.model_server.http.errors import ApiError
from deployment.model_server.http.scoring_request import ScoringRequest
from deployment.model_server.isolation.frames import Reply, ReplyKind
from deployment.model_server.isolation.model_process import ModelProcess, ProcessEnded, ProcessSpec
from deployment.model_server.isolation.process_pool import NoProcess, PoolBusy, PoolStatistics, ProcessPool
from deployment.model_server.models.version_schema import VersionSchema
from deployment.model_server.request_log.payload_table import LogRule

BLOCKING_SECONDS = 30.0


class ForeignCodeFailed(Exception):
    """Foreign code raised or ended its process; the message is for the log, never for the caller."""


class IsolatedModel:
    """Passes requests to the processes of a version. They end with the last reference to this object.

    Attributes:
        log_rule: rule of the request log for this version.
    """

    def __init__(self, spec: ProcessSpec, log_rule: LogRule, processes: int | None = None) -> None:
        """Start the first process, which takes seconds. `processes` is a fixed number of them.

        Raises:
            LoadFailedInProcess: the version cannot be loaded.
            ProcessEnded: the process ended while it loaded the version.
        """
        self.log_rule = log_rule
        self._title = spec.title
        self._first = ModelProcess.start(spec)
        self.schema = VersionSchema(**self._first.description)
        self._pool = ProcessPool(spec, self._first, *([] if processes is None else [processes, processes]))
        weakref.finalize(self, self._pool.close)

    @property
    def statistics(self) -> PoolStatistics:
        return self._pool.statistics

    async def respond(self, request: ScoringRequest, deadline: float) -> bytes:
        """The response body for a request.

        Args:
            deadline: time of the event loop at which the process that works on the request is killed.

        Raises:
            TimeoutError: the deadline has passed.
            ApiError: the request does not fit the model, or no process can take it now.
            ForeignCodeFailed: the code of the version failed.
        """
        try:
            async with asyncio.timeout_at(deadline):
                reply = await self._pool.ask(_message(request))
        except PoolBusy as err:
            raise ApiError.overloaded_version() from err
        except NoProcess as err:
            raise ApiError.no_process(err.seconds) from err
        except ProcessEnded as err:
            raise self._failure(f"a process ended at a request: {err}") from err
        return self._body(reply)

    def predictions(self, request: ScoringRequest) -> bytes:
        """`respond` without an event loop, by the first process alone.

        Raises:
            ApiError: the request does not fit the model.
            ForeignCodeFailed: the code of the version failed.
        """
        try:
            return self._body(self._first.ask_blocking(_message(request), time.monotonic() + BLOCKING_SECONDS))
        except ProcessEnded as err:
            raise self._failure(f"its process ended at a request: {err}") from err

    def _body(self, reply: Reply) -> bytes:
        if reply.kind is ReplyKind.RESPONSE:
            return reply.content
        if reply.kind is ReplyKind.FAILURE:
            raise self._failure(f"it failed on a request:\n{reply.content.decode('utf-8', errors='replace')}")
        refusal: dict[str, Any] = json.loads(reply.content)
        raise ApiError(
            refusal.pop("status"), refusal.pop("error_code"), refusal.pop("message"),
            headers=refusal.pop("headers"), **refusal,
        )  # fmt: skip

    def _failure(self, text: str) -> ForeignCodeFailed:
        return ForeignCodeFailed(f"{self._title}: {text}")


def _message(request: ScoringRequest) -> tuple[Any, ...]:
    rows = None if request.rows is None else list(request.rows)
    return rows, request.tensor, request.client_request_id, dict(request.params)
