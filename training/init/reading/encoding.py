"""Encoding of a text file, found from its bytes."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from lakehouse.landing.errors import LandingFileRefused
from lakehouse.landing.options import LandingOptions
from lakehouse.landing.source import MARKS, first_bytes, text_blocks
from training.init.errors import InitRefused

SAMPLE = 2**20  # bytes of the head
_TAIL = 2**16  # bytes of the end


@dataclass(frozen=True)
class DecodedFile:
    """A text file whose every byte was decoded.

    Attributes:
        path: the file.
        encoding: a name that Python knows.
        head, tail: its first and last text in UTF-8.
        is_complete: True if the head is the complete text.
        note: a guess that the person must hear of; empty if there was none.
    """

    path: Path
    encoding: str
    head: bytes
    tail: bytes
    is_complete: bool
    note: str = ""


def decoded_file(path: Path, encoding: str | None) -> DecodedFile:
    """Decode a file by its byte order mark, as UTF-8, or else as cp1252.

    Raises:
        InitRefused: the file is empty, or a byte is possible in none of these encodings.
        LandingFileRefused: a byte is impossible in the given encoding.
    """
    start = _start(path)
    if not start.strip():
        raise InitRefused.file(path, "is empty", "Export it again.")
    if encoding is not None:
        _require_known(encoding)
    chosen = encoding or next((name for mark, name in MARKS.items() if start.startswith(mark)), None)
    chosen = chosen or _without_mark(start)
    if chosen is not None:
        return _decoded(path, chosen)
    try:
        return _decoded(path, "utf-8")
    except LandingFileRefused as not_utf8:
        if not_utf8.correction is None or not_utf8.correction.option != "encoding":
            raise
        reason = not_utf8.failed.partition(" as utf-8: ")[2]
        try:
            note = f"read as cp1252 (Windows, Western Europe), as it is not UTF-8: {reason}; or pass --encoding"
            return _decoded(path, "cp1252", note)
        except LandingFileRefused as not_cp1252:
            problem = not_cp1252.failed.partition(" as cp1252: ")[2]
            raise InitRefused.file(
                path,
                f"is neither UTF-8 ({reason}) nor cp1252 ({problem})",
                "Name its encoding: --encoding iso-8859-15, for example. If it is no text, export it as CSV.",
            ) from not_cp1252


def _start(path: Path) -> bytes:
    try:
        return first_bytes(path, 4096)
    except LandingFileRefused as err:
        problem = f"cannot be read: {err.__cause__}"
        raise InitRefused.file(path, problem, "Correct the path or the permissions.") from err


def _require_known(encoding: str) -> None:
    try:
        LandingOptions(path="-", columns=("a",), delimiter=",", encoding=encoding)
    except ValidationError as err:
        reason = err.errors()[0]["msg"].removeprefix("Value error, ")
        hint = "Name another one, such as utf-8, utf-16, cp1252 or iso-8859-15."
        raise InitRefused.file(f"--encoding {encoding}", reason, hint) from err


def _without_mark(start: bytes) -> str | None:
    """UTF-16 without a byte order mark has a NUL beside each ASCII letter."""
    if start.count(0) < len(start) // 4:
        return None
    return "utf-16-le" if start[1::2].count(0) > start[::2].count(0) else "utf-16-be"


def _decoded(path: Path, encoding: str, note: str = "") -> DecodedFile:
    head, tail, length = b"", b"", 0
    for block in text_blocks(path, encoding):
        head += block[: SAMPLE - len(head)]
        tail = (tail + block)[-_TAIL:]
        length += len(block)
    return DecodedFile(path, encoding, head, tail, length == len(head), note)
