"""Messages between the server and a model process, over a socket pair.

The server sends Python values by `marshal`, which keeps integers and floats as they are. It reads only bytes, JSON
and text in return: it never decodes objects that foreign code could have made.
"""

import marshal
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Any, Protocol

_LENGTH = Struct("<I")
REPLY_HEADER = Struct("<BQI")  # kind, resident memory of the process in bytes, length of the content


class ReplyKind(IntEnum):
    """Kind of a reply: a response body, a refused request (JSON), or a failure (a traceback)."""

    RESPONSE = 1
    REFUSAL = 2
    FAILURE = 3


@dataclass(frozen=True)
class Reply:
    """A reply of a model process; `memory` is its resident memory in bytes."""

    kind: ReplyKind
    memory: int
    content: bytes


class Readable(Protocol):
    """A buffered byte stream."""

    def read(self, size: int, /) -> bytes: ...


def message(value: Any) -> bytes:
    """A message of the server: JSON-like values."""
    content = marshal.dumps(value)
    return _LENGTH.pack(len(content)) + content


def read_message(stream: Readable) -> Any:
    """The next message of the server; None after its end."""
    header = stream.read(_LENGTH.size)
    if len(header) < _LENGTH.size:
        return None
    content = stream.read(_LENGTH.unpack(header)[0])
    return marshal.loads(content)  # noqa: S302  (written by the server, which runs no foreign code)


def reply(kind: ReplyKind, memory: int, content: bytes) -> bytes:
    """A reply as bytes."""
    return REPLY_HEADER.pack(kind, memory, len(content)) + content
