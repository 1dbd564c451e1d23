"""A pickle whose arrays are mapped from one file: every process that reads it shares them, none copies them.

joblib maps each array by itself and keeps its file descriptor open. See docs/adr/0012-one-mapping-for-all-arrays.md.
"""

import mmap
import pickle
import struct
from pathlib import Path
from typing import Any

ALIGNMENT = 64  # bytes, as numpy aligns its arrays
_SIZE = struct.Struct("<Q")


def write(value: object, path: Path) -> None:
    """Write the value."""
    buffers: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    views = [buffer.raw() for buffer in buffers]
    header = pickle.dumps((pickled, [len(view) for view in views]))
    with path.open("wb") as file:
        file.write(_SIZE.pack(len(header)) + header)
        for view in views:
            file.seek(_aligned(file.tell()))
            file.write(view)


def read(path: Path) -> Any:
    """Read a value that `write` wrote; only files that this project wrote.

    The arrays are writable: a change stays in this process, and takes memory only then.
    """
    with path.open("rb") as file:
        mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    end = _SIZE.size + _SIZE.unpack_from(mapped)[0]
    pickled, lengths = pickle.loads(mapped[_SIZE.size : end])  # noqa: S301  (our own file)
    buffers = []
    for length in lengths:
        start = _aligned(end)
        end = start + length
        buffers.append(mapped[start:end])
    return pickle.loads(pickled, buffers=buffers)  # noqa: S301  (our own file)


def _aligned(position: int) -> int:
    return -(-position // ALIGNMENT) * ALIGNMENT
