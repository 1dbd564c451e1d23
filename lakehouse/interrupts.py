"""Ctrl-C belongs to Python, not to an engine that runs inside it."""

import ctypes
import signal
from collections.abc import Iterator
from contextlib import contextmanager

_get = ctypes.pythonapi.PyOS_getsig
_get.restype, _get.argtypes = ctypes.c_void_p, [ctypes.c_int]
_set = ctypes.pythonapi.PyOS_setsig
_set.restype, _set.argtypes = ctypes.c_void_p, [ctypes.c_int, ctypes.c_void_p]


@contextmanager
def kept() -> Iterator[None]:
    """Put back the handler of Ctrl-C that was there before, whatever the block has installed.

    Sail shuts its server down on Ctrl-C. What Python still has to do then (end the run, release the session) would
    wait for it through minutes of retries. `signal.signal` would do, but works in the main thread only, and dbt opens
    its connections in others.
    """
    handler = _get(signal.SIGINT)
    try:
        yield
    finally:
        _set(signal.SIGINT, handler)
