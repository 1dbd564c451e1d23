"""Request bodies: read within limits of size and time, and decoded as strict JSON."""

import asyncio
import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from typing import Any

import orjson
from starlette.types import Message, Receive, Scope

from deployment.model_server.http.content_encoding import encoding_of, inflate
from deployment.model_server.http.errors import ApiError

DISCARD_BYTES = 64 * 1024 * 1024
REQUEST_TIMEOUT = 408


class TrackedReceive:
    """An ASGI `receive` that remembers if the body of the request was read to its end."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ended = False

    async def __call__(self) -> Message:
        message = await self._receive()
        self._ended = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def discard(self, seconds: float) -> None:
        """Read the rest of the body, within limits: a client reads the error only after it has sent everything."""
        size = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._ended and size <= DISCARD_BYTES:
                    size += len((await self()).get("body", b""))


async def read_json(scope: Scope, receive: Receive, max_bytes: int, seconds: float) -> Any:
    """Read and decode the JSON body of a request.

    Raises:
        ApiError: wrong content type (415), too large (413), too slow (408), not strict JSON (400).
    """
    return decode(await read(scope, receive, max_bytes, seconds))


async def read(scope: Scope, receive: Receive, max_bytes: int, seconds: float) -> bytes:
    """Read the body of a JSON request, and decompress it.

    Raises:
        ApiError: wrong content type (415), too large (413), too slow (408), not the gzip that it claims to be (400).
    """
    headers = dict(scope["headers"])
    _check_type(headers)
    encoding = encoding_of(headers)
    try:
        async with asyncio.timeout(seconds):
            body = await _read(receive, headers, max_bytes)
    except TimeoutError as err:
        message = f"The body did not arrive within {seconds:g} s."
        raise ApiError(REQUEST_TIMEOUT, "REQUEST_TIMEOUT", message, headers={"connection": "close"}) from err
    return inflate(body, max_bytes) if encoding == "gzip" else body


def decode(body: bytes) -> Any:
    """Decode UTF-8 JSON without NaN, Infinity, overflowing numbers, duplicate keys or invalid text.

    Raises:
        ApiError: the body is not strict JSON (400).
    """
    try:
        value = orjson.loads(body)
        # Each key has one colon. More colons than keys mean a duplicate key, or a colon within a text.
        colons = body.count(b":")
        if colons == _keys_of_flat_records(value, body) or colons == _keys(value):
            return value
    except (orjson.JSONDecodeError, RecursionError):
        pass  # the slow decoder finds the reason
    return _decode_slowly(body)


def _keys_of_flat_records(value: Any, body: bytes) -> int:
    """Number of keys in an object with lists of flat records; -1 for anything else.

    Each object has one brace. If no brace is left over, no object lies deeper.
    """
    if type(value) is not dict:
        return -1
    records = [record for each in value.values() if type(each) is list for record in each]
    if set(map(type, records)) != {dict} or body.count(b"{") != 1 + len(records):
        return -1
    return len(value) + sum(map(len, records))


def _keys(value: Any) -> int:
    if type(value) is dict:
        return len(value) + sum([_keys(each) for each in value.values() if type(each) in _NESTED])
    return sum([_keys(each) for each in value if type(each) in _NESTED]) if type(value) is list else 0


def _decode_slowly(body: bytes) -> Any:
    try:
        text = body.decode("utf-8")
        value = _DECODER.decode(text)
        if invalid := _first_invalid(value):
            reason, path = invalid
            location = path.removeprefix(".")[:200] or "the top level"
            raise ApiError.bad_request(f"The body is not strict JSON: {reason}, at {location}")
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeError as err:
        problem = err.reason if hasattr(err, "reason") else err
        raise ApiError.bad_request(f"The body is not UTF-8 text: {problem}") from err
    except RecursionError as err:
        raise ApiError.bad_request("The body is nested too deeply.") from err
    except json.JSONDecodeError as err:
        message = f"The body is not JSON: {err.msg} at line {err.lineno}, column {err.colno}."
        raise ApiError.bad_request(message) from err
    return value


@dataclass(frozen=True)
class _Invalid:
    """Placeholder for a value that strict JSON does not allow, with the reason."""

    reason: str


def _first_invalid(value: Any) -> tuple[str, str] | None:
    """Reason and path of the first invalid value in a decoded body. A path is like `.dataframe_records[3].age`."""
    if isinstance(value, _Invalid):
        return value.reason, ""
    children: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, dict):
        children = value.items()
    elif isinstance(value, list):
        children = enumerate(value)
    for step, child in children:
        if invalid := _first_invalid(child):
            reason, path = invalid
            return reason, (f".{step[:100]}" if isinstance(step, str) else f"[{step}]") + path
    return None


def _check_type(headers: Mapping[bytes, bytes]) -> None:
    content_type = headers.get(b"content-type", b"").decode("latin-1")
    media_type, _, parameters = content_type.partition(";")
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    if media_type.strip().lower() != "application/json" or charset not in {"", "utf-8", "utf8"}:
        message = f"The content type must be application/json in UTF-8, but is: {content_type[:100] or 'none'}"
        raise ApiError(415, "UNSUPPORTED_MEDIA_TYPE", message)


async def _read(receive: Receive, headers: Mapping[bytes, bytes], max_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    more = True
    while more and size <= max_bytes:
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            raise ApiError.bad_request("The connection ended before the body did.")
        chunk = message.get("body", b"")
        size += len(chunk)
        chunks.append(chunk)
        more = message.get("more_body", False)
    if size > max_bytes:
        length = headers.get(b"content-length", b"more than %d" % max_bytes).decode("latin-1")
        message_text = f"The body has {length} bytes; the limit is {max_bytes}. Send fewer rows at a time."
        raise ApiError(413, "MAX_REQUEST_SIZE_EXCEEDED", message_text)
    return b"".join(chunks)


def _no_constant(text: str) -> _Invalid:
    return _Invalid(f"{text} is not a JSON number")


def _finite(text: str) -> float | _Invalid:
    number = float(text)
    return number if isfinite(number) else _Invalid(f"{text[:40]} is out of range")


def _integer(text: str) -> int | _Invalid:
    return int(text) if len(text) <= 400 else _Invalid(f"a number of {len(text)} digits is out of range")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        duplicate = next(key for key in keys if keys.count(key) > 1)
        values[duplicate] = _Invalid(f"duplicate key '{duplicate[:100]}' in one object")
    return values


_NESTED = frozenset({dict, list})
_SURROGATE = re.compile(r"\\u[dD][89abAB]|\\u[dD][c-fC-F]")
_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite, parse_int=_integer
)
