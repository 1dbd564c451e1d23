"""How many requests are under way at most, and how long one may take: more are turned away, later ones are told."""

import asyncio
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployment.model_server.http.errors import ApiError
from deployment.model_server.http.responses import send_json, serialise
from deployment.model_server.request_log.payload_table import Exchange


@dataclass
class UnderWay:
    """The requests that have been let through and not ended."""

    count: int = 0


class Admission:
    """Lets requests through to the data plane.

    A model cannot be interrupted. Its caller is answered when the time is up, and the request counts as under way
    until the model has ended: models that hang fill the places, and never the memory.
    """

    def __init__(self, app: ASGIApp, under_way: UnderWay, limit: int, seconds: float) -> None:
        self._app = app
        self._under_way = under_way
        self._limit = limit
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request.

        Raises:
            ApiError: too many are under way (429).
        """
        if self._under_way.count >= self._limit:
            raise ApiError.overloaded(self._limit)
        deadline = Deadline(send, self._seconds)

        async def last_of_body() -> Message:
            message = await receive()
            if not message.get("more_body", False):
                deadline.begin()
            return message

        scope["deadline"] = deadline
        self._under_way.count += 1
        try:
            await self._app(scope, last_of_body, deadline.send)
        finally:
            deadline.end()
            self._under_way.count -= 1


class Deadline:
    """Sends the answer, or when the time is up before it, that it is late; never both."""

    def __init__(self, send: Send, seconds: float) -> None:
        self._send = send
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None
        self._started = False
        self._late: asyncio.Task[None] | None = None

    def begin(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._give_up)

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    async def send(self, message: Message) -> None:
        if self._late is None:
            self._started = True
            await self._send(message)

    def correct(self, exchange: Exchange) -> None:
        """Let an exchange say what the caller was told, where that was not what the model answered after all."""
        if self._late is not None:
            refusal = ApiError.too_late(self._seconds)
            exchange.status, exchange.response = refusal.status, serialise(refusal.body())

    def _give_up(self) -> None:
        if not self._started:
            refusal = ApiError.too_late(self._seconds)
            answer = send_json(self._send, refusal.status, serialise(refusal.body()), refusal.headers)
            self._late = asyncio.get_running_loop().create_task(answer)
