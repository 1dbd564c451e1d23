"""The supervisor of a detached server: it runs the server in a child process, and starts it again until `stop`.

Native code of a model can end its process in any way, with exit code 0 too. The new process restores the endpoints
from the state folder, as after any restart. Until then, a second or two, connections are refused.

A server that ends before it has ever listened is not started again: a configuration that cannot work is reported to
the person who waits for it.
"""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

LOG = logging.getLogger(__name__)
FIRST_PAUSE, MAX_PAUSE = 1.0, 60.0  # before a restart; the first one comes at once
STABLE_SECONDS = 60.0  # a server that ran for this long is restarted at once again
GRACE_SECONDS = 5.0  # for a server whose supervisor died
POLL_SECONDS = 0.05
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
Serve = Callable[[Callable[[], None]], int]


def supervise(serve: Serve, first_pause: float = FIRST_PAUSE) -> int:
    """Serve in a child process, and start it again whenever it ends, until SIGTERM or SIGINT.

    Call this before any thread exists. The signals are passed on to the child and end the supervision.

    Args:
        serve: runs in the child and calls its argument once it listens; its result is the exit code.
        first_pause: seconds before the second restart in a row; they double up to a minute.

    Returns:
        0 after a signal. If a child ends before any has listened: its exit code, or 1 if a signal ended it.
    """
    child = 0
    stopping: list[int] = []  # the signal

    def stop(number: int, frame: object) -> None:
        stopping.append(number)
        if child:
            os.kill(child, signal.SIGTERM)

    for number in _STOP_SIGNALS:
        signal.signal(number, stop)
    has_listened, restarts = False, 0
    while not stopping:
        began = time.monotonic()
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)  # until the child exists and can receive the signal
        child, lifeline, listens = _fork(serve)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        child = 0
        has_listened = has_listened or _announced(listens)
        os.close(lifeline)
        os.close(listens)
        if stopping:
            break
        if not has_listened:
            return code if code >= 0 else 1
        restarts = 0 if time.monotonic() - began > STABLE_SECONDS else restarts
        pause = min(first_pause * 2 ** min(restarts - 1, 16), MAX_PAUSE) if restarts else 0.0
        restarts += 1
        ended = f"signal {-code} killed the server" if code < 0 else f"the server exited with code {code}"
        LOG.error("%s: restarting%s", ended, f" in {pause:g} s" if pause else "")
        resume = time.monotonic() + pause
        while not stopping and time.monotonic() < resume:
            time.sleep(POLL_SECONDS)
    return 0


def _fork(serve: Serve) -> tuple[int, int, int]:
    """Start the child.

    Returns:
        Its number; the write end of a pipe, which closes if this process dies; the read end of another, to which the
        child writes once it listens.
    """
    lifeline, holding = os.pipe()
    listens, announcing = os.pipe()
    if child := os.fork():
        os.close(lifeline)
        os.close(announcing)
        return child, holding, listens
    code = 1
    try:
        os.close(holding)
        os.close(listens)
        for number in _STOP_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
        threading.Thread(target=_stop_with_supervisor, args=(lifeline,), daemon=True).start()
        code = serve(lambda: _announce(announcing))
    except BaseException:
        LOG.exception("the server failed")
    finally:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # the frames above belong to the supervisor and must not run in the child


def _announce(announcing: int) -> None:
    os.write(announcing, b"1")


def _announced(listens: int) -> bool:
    """True if the child has listened. A process that it left behind may still hold its end of the pipe."""
    os.set_blocking(listens, False)
    with suppress(BlockingIOError):
        return os.read(listens, 1) != b""
    return False


def _stop_with_supervisor(lifeline: int) -> None:
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(1)
