"""Keeps the Ctrl-C handler of Python while an engine starts inside the process."""

import ctypes
import signal
from collections.abc import Iterator
from contextlib import contextmanager

_get = ctypes.pythonapi.PyOS_getsig
_get.restype, _get.argtypes = ctypes.c_void_p, [ctypes.c_int]
_set = ctypes.pythonapi.PyOS_setsig
_set.restype, _set.argtypes = ctypes.c_void_p, [ctypes.c_int, ctypes.c_void_p]


@contextmanager
def preserve_sigint_handler() -> Iterator[None]:
    """Restore the Ctrl-C handler after the block.

    Sail installs a handler that shuts its server down. Python's own cleanup (end the run, release the session) would
    then retry for minutes against the stopped server. `signal.signal` works only in the main thread, and dbt opens
    connections in other threads.
    """
    handler = _get(signal.SIGINT)
    try:
        yield
    finally:
        _set(signal.SIGINT, handler)
