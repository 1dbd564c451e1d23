"""Ctrl-C reaches Python also after an engine has taken it."""

import ctypes
import signal

import pytest

from lakehouse import interrupts
from lakehouse.session import open_session

IGNORED = 1  # SIG_IGN
_set = ctypes.pythonapi.PyOS_setsig
_set.restype, _set.argtypes = ctypes.c_void_p, [ctypes.c_int, ctypes.c_void_p]


def take_it() -> None:
    """Install a handler as an engine does, behind Python's back."""
    _set(signal.SIGINT, IGNORED)


def test_the_handler_from_before_is_put_back() -> None:
    with interrupts.handler_kept():
        take_it()
        signal.raise_signal(signal.SIGINT)  # the engine has it
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_the_handler_is_put_back_after_an_error_too() -> None:
    with pytest.raises(ValueError, match="no engine"), interrupts.handler_kept():
        take_it()
        raise ValueError("no engine")
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_an_open_session_leaves_ctrl_c_to_python() -> None:
    open_session()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
