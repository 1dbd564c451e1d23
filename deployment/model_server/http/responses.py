"""What leaves the server: JSON over ASGI, and endpoints as Databricks describes them."""

import json
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.types import Send


async def send_json(send: Send, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
    """Answer with JSON that is serialised already."""
    given = [(name.encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
    fixed = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": fixed + given})
    await send({"type": "http.response.body", "body": body})


def serialise(value: Any) -> bytes:
    """JSON as bytes.

    Raises:
        ValueError: a NaN or an infinity is in it, which JSON cannot carry.
    """
    try:
        body = orjson.dumps(value)
        if b"null" not in body:  # it may stand for a NaN
            return body
    except TypeError:
        pass  # a key that is no text, or a number beyond 64 bits
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
