"""Compressed bodies: requests with gzip, inflated within the limit of a body, and large responses."""

import asyncio
import zlib
from collections.abc import Mapping

from starlette.types import Scope

from deployment.model_server.http.errors import ApiError

LARGE_RESPONSE = 64 * 1024  # smaller ones are sent sooner than they are compressed
_GZIP = 16 + zlib.MAX_WBITS


def encoding_of(headers: Mapping[bytes, bytes]) -> str:
    """The content encoding of a request: `gzip` or `identity`.

    Raises:
        ApiError: any other (415).
    """
    encoding = headers.get(b"content-encoding", b"identity").decode("latin-1").strip().lower()
    if encoding not in {"identity", "gzip"}:
        message = f"The content encoding must be gzip or identity, not {encoding[:40]}."
        raise ApiError(415, "UNSUPPORTED_MEDIA_TYPE", message)
    return encoding


def inflate(body: bytes, max_bytes: int) -> bytes:
    """Decompress a body of one gzip member. No more than `max_bytes` are ever held.

    Raises:
        ApiError: not gzip, incomplete or followed by more (400), or too large after decompression (413).
    """
    stream = zlib.decompressobj(_GZIP)
    try:
        inflated = stream.decompress(body, max_bytes + 1)
    except zlib.error as err:
        raise ApiError.bad_request(f"The body is not gzip: {err}") from err
    if len(inflated) > max_bytes:
        message = f"The body has more than {max_bytes} bytes after decompression. Send fewer rows at a time."
        raise ApiError(413, "MAX_REQUEST_SIZE_EXCEEDED", message)
    if not stream.eof or stream.unused_data:
        raise ApiError.bad_request("The body is not one complete gzip member.")
    return inflated


async def compressed(scope: Scope, body: bytes, headers: dict[str, str]) -> bytes:
    """The body of a large response, with gzip if the caller accepts it; adds the headers that say so."""
    headers["vary"] = "accept-encoding"
    accepted = b",".join(value for name, value in scope["headers"] if name == b"accept-encoding")
    if not _accepts_gzip(accepted.decode("latin-1").lower()):
        return body
    headers["content-encoding"] = "gzip"
    return await asyncio.to_thread(zlib.compress, body, 1, _GZIP)


def _accepts_gzip(header: str) -> bool:
    """True if an Accept-Encoding header allows gzip: by its name, or else by `*`.

    >>> _accepts_gzip("br, gzip;q=0.8"), _accepts_gzip("*;q=0, gzip"), _accepts_gzip("gzip;q=0, *")
    (True, True, False)
    """
    codings = dict(each.replace(" ", "").partition(";q=")[::2] for each in header.split(","))
    quality = codings.get("gzip", codings.get("*", "0"))
    return quality.strip("0.") != "" or not quality
