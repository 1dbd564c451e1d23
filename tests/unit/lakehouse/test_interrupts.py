"""Ctrl-C reaches Python after an engine installed its own handler."""

import ctypes
import signal

import pytest

from lakehouse import interrupts
from lakehouse.session import open_session

IGNORED = 1  # SIG_IGN
_set = ctypes.pythonapi.PyOS_setsig
_set.restype, _set.argtypes = ctypes.c_void_p, [ctypes.c_int, ctypes.c_void_p]


def take_it() -> None:
    """Install a signal handler in C, as an engine does."""
    _set(signal.SIGINT, IGNORED)


def test_the_previous_handler_is_restored() -> None:
    with interrupts.preserve_sigint_handler():
        take_it()
        signal.raise_signal(signal.SIGINT)  # the engine has it
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_the_handler_is_restored_after_an_error() -> None:
    with pytest.raises(ValueError, match="no engine"), interrupts.preserve_sigint_handler():
        take_it()
        raise ValueError("no engine")
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_an_open_session_leaves_ctrl_c_to_python() -> None:
    open_session()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
