"""JSON responses over ASGI."""

import json
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.types import Send


async def send_json(send: Send, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
    """Send a response whose body is serialised JSON."""
    additional = [(name.encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
    standard = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": standard + additional})
    await send({"type": "http.response.body", "body": body})


def serialise(value: Any) -> bytes:
    """Serialise a value as JSON.

    Raises:
        ValueError: the value contains a NaN or an infinity, which JSON does not allow.
    """
    try:
        body = orjson.dumps(value)
        if b"null" not in body:  # orjson writes NaN as null
            return body
    except TypeError:
        pass  # a key that is not text, or a number beyond 64 bits
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
