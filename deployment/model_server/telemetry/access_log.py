"""The access log: one JSON line for each request, without its inputs. A thread writes it, and no request waits."""

import logging
import queue
import re
import time
import uuid
from datetime import UTC, datetime
from logging.handlers import QueueHandler, QueueListener, WatchedFileHandler
from pathlib import Path

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployment.model_server.http.request_facts import RequestFacts
from lakehouse.wording import number_of

LOG = logging.getLogger(__name__)
MAX_QUEUED_LINES = 100_000
_REQUEST_ID = re.compile(rb"[\w.:-]{1,100}")


class AccessLog:
    """Appends lines to a private file. The file may be moved away at any time, as logrotate does."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines = _BoundedQueueHandler(queue.Queue(MAX_QUEUED_LINES))
        self._listener: QueueListener | None = None

    def open(self) -> None:
        """Open the file and start the thread."""
        handler = WatchedFileHandler(self._path, encoding="utf-8")
        self._path.chmod(0o600)
        self._listener = QueueListener(self._lines.queue, handler)
        self._listener.start()

    def write(self, line: dict[str, object]) -> None:
        record = logging.LogRecord("access", logging.INFO, "", 0, orjson.dumps(line).decode(), None, None)
        self._lines.handle(record)

    def close(self) -> None:
        """Write all lines, then return."""
        if self._listener is not None:
            self._listener.stop()
        if self._lines.lost:
            LOG.warning("the access log has lost %s since the server started", number_of("line", self._lines.lost))


class _BoundedQueueHandler(QueueHandler):
    """Counts the lines for which the queue has no room."""

    lost = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self.lost += 1


class AccessLogMiddleware:
    """Gives each request an id, and writes its line after the response."""

    def __init__(self, app: ASGIApp, log: AccessLog) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        facts = RequestFacts.of(scope)
        facts.id = _request_id(scope)
        moment, started, status = time.time(), time.perf_counter(), 0
        header = (b"x-request-id", facts.id.encode())

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message["headers"], header]}
            await send(message)

        try:
            await self._app(scope, receive, observed)
        finally:
            self._log.write(
                {
                    "time": datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds"),
                    "id": facts.id,
                    "caller": facts.caller,
                    "method": scope["method"],
                    "path": scope["path"][:200],
                    "endpoint": facts.endpoint,
                    "served": facts.served,
                    "version": facts.version,
                    "rows": facts.rows,
                    "status": status,
                    "ms": round((time.perf_counter() - started) * 1000, 3),
                }
            )


def _request_id(scope: Scope) -> str:
    """The caller's `x-request-id`, if it is short and plain, or a new one."""
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return given.decode() if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
