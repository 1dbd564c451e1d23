"""Request bodies: read within a limit, and decoded as strict JSON."""

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

from deployment.model_server.http.errors import ApiError

DISCARD_BYTES = 64 * 1024 * 1024
TOO_SLOW = 408


class Incoming:
    """The messages of one request; knows whether its body was read to the end."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ended = False

    async def __call__(self) -> Message:
        message = await self._receive()
        self._ended = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def discard(self, seconds: float) -> None:
        """Read what is left, within bounds: a client that still sends cannot read why it was refused."""
        size = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._ended and size <= DISCARD_BYTES:
                    size += len((await self()).get("body", b""))


async def read_json(scope: Scope, receive: Receive, max_bytes: int, seconds: float) -> Any:
    """The JSON body of a request.

    Raises:
        ApiError: another content type (415), too large (413), too slow (408), no strict JSON (400).
    """
    return decode(await read(scope, receive, max_bytes, seconds))


async def read(scope: Scope, receive: Receive, max_bytes: int, seconds: float) -> bytes:
    """The body of a request that says it is JSON.

    Raises:
        ApiError: another content type (415), too large (413), too slow (408).
    """
    headers = dict(scope["headers"])
    _check_type(headers)
    try:
        async with asyncio.timeout(seconds):
            return await _read(receive, headers, max_bytes)
    except TimeoutError as err:
        message = f"The body did not arrive within {seconds:g} s."
        raise ApiError(TOO_SLOW, "REQUEST_TIMEOUT", message, headers={"connection": "close"}) from err


def decode(body: bytes) -> Any:
    """Decode UTF-8 JSON without NaN, Infinity, overflowing numbers, repeated keys or broken text.

    Raises:
        ApiError: it is something else (400).
    """
    try:
        value = orjson.loads(body)
        # Each key of the body brings a colon. One more than there are keys is a key that stood twice, or in a text.
        if body.count(b":") == _keys(value):
            return value
    except (orjson.JSONDecodeError, RecursionError):
        pass  # the slow decoder says what is wrong
    return _decode_slowly(body)


def _keys(value: Any) -> int:
    if type(value) is dict:
        return len(value) + sum([_keys(each) for each in value.values() if type(each) in _NESTED])
    return sum([_keys(each) for each in value if type(each) in _NESTED]) if type(value) is list else 0


def _decode_slowly(body: bytes) -> Any:
    try:
        text = body.decode("utf-8")
        value = _DECODER.decode(text)
        if broken := _broken(value):
            why, where = broken
            place = where.removeprefix(".")[:200] or "its top"
            raise ApiError.bad_request(f"The body is no strict JSON: {why}, at {place}")
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeError as err:
        raise ApiError.bad_request(
            f"The body is no UTF-8 text: {err.reason if hasattr(err, 'reason') else err}"
        ) from err
    except RecursionError as err:
        raise ApiError.bad_request("The body is nested too deeply.") from err
    except json.JSONDecodeError as err:
        message = f"The body is no JSON: {err.msg} at line {err.lineno}, column {err.colno}."
        raise ApiError.bad_request(message) from err
    return value


@dataclass(frozen=True)
class _Broken:
    """Stands where a value is none that JSON has, and says why."""

    why: str


def _broken(value: Any) -> tuple[str, str] | None:
    """Why and where a decoded body has a value that JSON has not, the first of them: `.dataframe_records[3].age`."""
    if isinstance(value, _Broken):
        return value.why, ""
    inside: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, dict):
        inside = value.items()
    elif isinstance(value, list):
        inside = enumerate(value)
    for step, each in inside:
        if found := _broken(each):
            why, where = found
            return why, (f".{step[:100]}" if isinstance(step, str) else f"[{step}]") + where
    return None


def _check_type(headers: Mapping[bytes, bytes]) -> None:
    given = headers.get(b"content-type", b"").decode("latin-1")
    kind, _, parameters = given.partition(";")
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    if kind.strip().lower() != "application/json" or charset not in {"", "utf-8", "utf8"}:
        message = f"The content type must be application/json in UTF-8, and is: {given[:100] or 'none'}"
        raise ApiError(415, "UNSUPPORTED_MEDIA_TYPE", message)
    if (encoding := headers.get(b"content-encoding", b"identity").decode("latin-1").lower()) != "identity":
        raise ApiError(415, "UNSUPPORTED_MEDIA_TYPE", f"Send the body as it is, not as {encoding[:40]}.")


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
        given = headers.get(b"content-length", b"more than %d" % max_bytes).decode("latin-1")
        message_text = f"The body has {given} bytes; at most {max_bytes} are read. Send fewer rows at a time."
        raise ApiError(413, "MAX_REQUEST_SIZE_EXCEEDED", message_text)
    return b"".join(chunks)


def _no_constant(text: str) -> _Broken:
    return _Broken(f"{text} is no JSON number")


def _finite(text: str) -> float | _Broken:
    number = float(text)
    return number if isfinite(number) else _Broken(f"{text[:40]} is beyond the range of numbers")


def _whole(text: str) -> int | _Broken:
    return (
        int(text) if len(text) <= 400 else _Broken(f"a number of {len(text)} digits is beyond the range of numbers")
    )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        values[twice] = _Broken(f"the key '{twice[:100]}' stands twice in one object")
    return values


_NESTED = frozenset({dict, list})
_SURROGATE = re.compile(r"\\u[dD][89abAB]|\\u[dD][c-fC-F]")
_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite, parse_int=_whole
)
