"""One object in one file, its arrays mapped into every process that reads it and copied into none."""

import mmap
import pickle
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
ALIGNMENT = 64  # bytes, as numpy aligns its own
_SIZE = struct.Struct("<Q")


def write(thing: object, path: Path) -> None:
    """Write the object. Memory that several of its arrays share is in the file once."""
    buffers: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(thing, protocol=5, buffer_callback=buffers.append)
    views = [np.frombuffer(buffer.raw(), dtype=np.uint8) for buffer in buffers]
    places = _places(views)
    head = pickle.dumps((pickled, [(place, len(view)) for place, view in zip(places, views, strict=True)]))
    body = _aligned(_SIZE.size + len(head))
    with path.open("wb") as file:
        file.write(_SIZE.pack(len(head)) + head)
        for place, view in zip(places, views, strict=True):
            file.seek(body + place)
            file.write(view.data)


def read(path: Path) -> Any:
    """Read what `write` wrote; only files of this project's own making.

    The arrays may be written to: what is written stays with this process, and takes memory then.
    """
    with path.open("rb") as file:
        mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    (size,) = _SIZE.unpack_from(mapped)
    pickled, places = pickle.loads(mapped[_SIZE.size : _SIZE.size + size])  # noqa: S301  (our own file)
    body = _aligned(_SIZE.size + size)
    buffers = [mapped[body + place : body + place + length] for place, length in places]
    return pickle.loads(pickled, buffers=buffers)  # noqa: S301  (our own file)


def _places(views: Sequence[Bytes]) -> list[int]:
    """Where each view begins in the file. Those that overlap in memory overlap there in the same way."""
    places = [0] * len(views)
    end = memory_end = shift = 0
    for index in sorted(range(len(views)), key=lambda index: _address(views[index])):
        start = _address(views[index])
        if start >= memory_end:  # it shares no memory with those before it
            shift = _aligned(end) - start
            shift += start % ALIGNMENT  # an address within its alignment, as the array had it
        places[index] = start + shift
        end = max(end, places[index] + len(views[index]))
        memory_end = max(memory_end, start + len(views[index]))
    return places


def _address(view: Bytes) -> int:
    address: int = view.__array_interface__["data"][0]
    return address


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
