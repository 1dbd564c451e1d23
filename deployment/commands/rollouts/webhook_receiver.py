"""Receiver of MLflow's webhooks: checks their signature, and wakes whoever watches the alias."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from mlflow.webhooks.constants import (
    WEBHOOK_DELIVERY_ID_HEADER,
    WEBHOOK_SIGNATURE_HEADER,
    WEBHOOK_SIGNATURE_VERSION,
    WEBHOOK_TIMESTAMP_HEADER,
)

from lakehouse.errors import LakehouseError

MOST_BYTES, MOST_SECONDS_OLD = 65_536, 300
READ_SECONDS = 5.0  # until a caller that sends nothing is hung up on


class ReceiverNotStarted(LakehouseError):
    """The address of the receiver cannot be listened at."""


def is_genuine(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> bool:
    """True if the registry signed the body with the secret, within the last five minutes.

    Args:
        secret: secret that the webhook was registered with.
        headers: headers of the request; names as MLflow writes them, in any case.
        body: body of the request.
        now: time in seconds since 1970.
    """
    names = (WEBHOOK_DELIVERY_ID_HEADER, WEBHOOK_TIMESTAMP_HEADER, WEBHOOK_SIGNATURE_HEADER)
    delivery, timestamp, signature = (headers.get(name) or "" for name in names)
    if not (timestamp.isdecimal() and timestamp.isascii()) or abs(now - int(timestamp)) > MOST_SECONDS_OLD:
        return False
    signed = hmac.new(secret.encode(), f"{delivery}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    expected = f"{WEBHOOK_SIGNATURE_VERSION},{base64.b64encode(signed).decode()}"
    return hmac.compare_digest(expected.encode(), signature.encode())


def is_about(body: bytes, model: str, alias: str) -> bool:
    """True if the body tells that an alias of a model was set or deleted.

    >>> is_about(b'{"data": {"name": "churn", "alias": "champion"}}', "churn", "champion")
    True
    >>> is_about(b"[]", "churn", "champion")
    False
    """
    try:
        data: Any = json.loads(body).get("data")
        return (data.get("name"), data.get("alias")) == (model, alias)
    except (ValueError, AttributeError):
        return False


@contextmanager
def receiving(
    listen: tuple[str, int], secret: str, concerns: Callable[[bytes], bool], wake: threading.Event
) -> Iterator[None]:
    """Receive webhooks in threads while the block runs; a genuine one that concerns the watcher wakes it.

    Args:
        listen: host and port.
        secret: secret of the signatures.
        concerns: True for a body that is about the watched alias.
        wake: event that is set.

    Raises:
        ReceiverNotStarted: The address is taken, or not one of this machine.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = READ_SECONDS

        def do_POST(self) -> None:
            length = self.headers.get("content-length") or ""
            if not (length.isdecimal() and length.isascii()) or int(length) > MOST_BYTES:
                self._answer(413)
                return
            body = self.rfile.read(int(length))
            if not is_genuine(secret, dict(self.headers.items()), body, time.time()):
                self._answer(401)
                return
            if concerns(body):
                wake.set()
            self._answer(204)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()
            self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing: `follow` prints one line for each event, and this is none."""

    try:
        server = ThreadingHTTPServer(listen, Handler)
    except OSError as err:
        raise ReceiverNotStarted(
            f"webhooks cannot be received at {listen[0]}:{listen[1]}: {err.strerror}",
            hint="Choose another address: --webhook-listen HOST:PORT",
        ) from err
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
