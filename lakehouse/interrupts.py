"""Signals that stop a command: each of them lets it clean up, as Ctrl-C does."""

import ctypes
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

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


class Stopped(KeyboardInterrupt):
    """A signal of another process or of the system asks this one to end."""


@dataclass
class StopSignals:
    """Signals that stop a command beside Ctrl-C: SIGTERM, and SIGHUP of a terminal that is closed.

    Attributes:
        received: the signal that arrived, if any.
    """

    received: list[int] = field(default_factory=list)

    @contextmanager
    def interrupt(self) -> Iterator[None]:
        """Raise `Stopped` in the main thread when a signal arrives in the block, so that it cleans up.

        A signal that is ignored, as SIGHUP is under `nohup`, stays so. A later signal does not end the cleaning up.
        """
        before = {}
        if threading.current_thread() is threading.main_thread():
            before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)}
        own = [each for each, handler in before.items() if handler is signal.SIG_DFL]

        def stop(number: int, _frame: FrameType | None) -> None:
            for each in own:
                signal.signal(each, signal.SIG_IGN)
            self.received.append(number)
            raise Stopped

        for each in own:
            signal.signal(each, stop)
        try:
            yield
        finally:
            if not self.received:
                for each in own:
                    signal.signal(each, signal.SIG_DFL)

    @property
    def named(self) -> str:
        """Name of the signal, for a message; empty for Ctrl-C."""
        return f" by {signal.Signals(self.received[0]).name}" if self.received else ""

    @property
    def exit_code(self) -> int:
        """Exit code of the interrupted command."""
        return 128 + (self.received[0] if self.received else signal.SIGINT)
