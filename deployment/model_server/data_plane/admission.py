"""Admission control: a limit on concurrent scoring requests, and a deadline for each."""

import asyncio
import math
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployment.model_server.http.errors import ApiError
from deployment.model_server.http.responses import send_json, serialise
from deployment.model_server.request_log.payload_table import Exchange


@dataclass
class InFlight:
    """Number of admitted requests that have not finished."""

    count: int = 0


class AdmissionControl:
    """Middleware that admits requests to the data plane.

    The caller gets a 504 at the deadline. A model in a process of its own is killed then. A model in this process
    cannot be interrupted, so its request counts as in flight until the model returns. Models that hang therefore use
    up the limit, not the memory.
    """

    def __init__(self, app: ASGIApp, in_flight: InFlight, limit: int, seconds: float) -> None:
        self._app = app
        self._in_flight = in_flight
        self._limit = limit
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on.

        Raises:
            ApiError: too many requests are in flight (429).
        """
        if self._in_flight.count >= self._limit:
            raise ApiError.overloaded(self._limit)
        deadline = Deadline(send, self._seconds)

        async def receive_and_start_timer() -> Message:
            message = await receive()
            if not message.get("more_body", False):
                deadline.start()
            return message

        scope["deadline"] = deadline
        self._in_flight.count += 1
        try:
            await self._app(scope, receive_and_start_timer, deadline.send)
        finally:
            self._in_flight.count -= 1
            await deadline.end()


class Deadline:
    """Sends either the response or, if the time runs out first, a 504; never both.

    Attributes:
        at: time of the event loop at which the time runs out.
    """

    def __init__(self, send: Send, seconds: float) -> None:
        self._send = send
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None
        self._started = False
        self._timeout_response: asyncio.Task[None] | None = None
        self.at = math.inf

    def start(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self.at = loop.time() + self._seconds
            self._timer = loop.call_at(self.at, self._expire)

    async def end(self) -> None:
        """Stop the timer, and finish the 504 if the time ran out in this moment."""
        if self._timer is not None:
            self._timer.cancel()
        if self._timeout_response is not None:
            await self._timeout_response

    async def send(self, message: Message) -> None:
        if self._timeout_response is None:
            self._started = True
            await self._send(message)

    def record_timeout(self, exchange: Exchange) -> None:
        """Record the 504 that the caller received, in place of the model's late response."""
        if self._timeout_response is not None:
            error = ApiError.deadline_exceeded(self._seconds)
            exchange.status, exchange.response = error.status, serialise(error.body())

    def _expire(self) -> None:
        if not self._started:
            error = ApiError.deadline_exceeded(self._seconds)
            response = send_json(self._send, error.status, serialise(error.body()), error.headers)
            self._timeout_response = asyncio.get_running_loop().create_task(response)
