"""The supervisor of a detached server: it runs the server in a child process and restarts it after a crash.

Native code of a model can crash its process. The new process restores the endpoints from the state folder, as after
any restart. Until then, a second or two, connections are refused.
"""

import logging
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable

LOG = logging.getLogger(__name__)
MAX_CRASHES, CRASH_WINDOW = 5, 60.0  # this many crashes within this many seconds end the supervision
GRACE_SECONDS = 5.0  # for a server whose supervisor died
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def supervise(serve: Callable[[], int]) -> int:
    """Serve in a child process until it exits; restart a child that a signal killed.

    Call this before any thread exists. SIGTERM and SIGINT are passed on to the child and end the supervision.

    Args:
        serve: runs in the child; its result is the exit code.

    Returns:
        The exit code of the child, or 1 after too many crashes.
    """
    child, stopping = 0, False

    def stop(number: int, frame: object) -> None:
        nonlocal stopping
        stopping = True
        if child:
            os.kill(child, signal.SIGTERM)

    for number in _STOP_SIGNALS:
        signal.signal(number, stop)
    crashes: deque[float] = deque(maxlen=MAX_CRASHES)
    while not stopping:
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)  # until the child exists and can receive the signal
        child, lifeline = _fork(serve)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        child = 0
        os.close(lifeline)
        if code >= 0:
            return code
        if -code in _STOP_SIGNALS:
            break
        crashes.append(time.monotonic())
        if len(crashes) == MAX_CRASHES and crashes[-1] - crashes[0] < CRASH_WINDOW:
            LOG.error(
                "signal %s killed the server, crash %s within %g s: no restart", -code, MAX_CRASHES, CRASH_WINDOW
            )
            return 1
        LOG.error("signal %s killed the server: restarting", -code)
    return 0


def _fork(serve: Callable[[], int]) -> tuple[int, int]:
    """Start the child. Return it with the write end of a pipe, which closes if this process dies."""
    reading, writing = os.pipe()
    if child := os.fork():
        os.close(reading)
        return child, writing
    code = 1
    try:
        os.close(writing)
        for number in _STOP_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
        threading.Thread(target=_stop_with_supervisor, args=(reading,), daemon=True).start()
        code = serve()
    except Exception:
        LOG.exception("the server failed")
    finally:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # the frames above belong to the supervisor and must not run in the child


def _stop_with_supervisor(lifeline: int) -> None:
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(1)
