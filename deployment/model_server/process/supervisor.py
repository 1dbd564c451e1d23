"""A detached server is two processes: one that serves, and this one, which starts it again when it crashes.

A model's native code can take its whole process down. What served before is read from the state folder, as after any
restart; connections are refused until then, for a second or two.
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
CRASHES, SECONDS = 5, 60.0  # so many in so short a time, and it is given up
GRACE = 5.0  # for a server whose keeper is gone
_ENDING = (signal.SIGTERM, signal.SIGINT)


def keep(serve: Callable[[], int]) -> int:
    """Serve in a child process until it ends; one that dies of a signal is started again.

    Call it before there are threads. SIGTERM and SIGINT are passed on to the child, and are the end.

    Args:
        serve: what the child does; its answer is the exit code.

    Returns:
        The exit code of the child, or 1 where it crashed too often.
    """
    child, ending = 0, False

    def end(number: int, frame: object) -> None:
        nonlocal ending
        ending = True
        if child:
            os.kill(child, signal.SIGTERM)

    for number in _ENDING:
        signal.signal(number, end)
    crashes: deque[float] = deque(maxlen=CRASHES)
    while not ending:
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)  # or one would come before there is a child to tell
        child, lifeline = _begin(serve)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        child = 0
        os.close(lifeline)
        if code >= 0:
            return code
        if -code in _ENDING:
            break
        crashes.append(time.monotonic())
        if len(crashes) == CRASHES and crashes[-1] - crashes[0] < SECONDS:
            LOG.error("the server died of signal %s, the crash number %s within %g s: ended", -code, CRASHES, SECONDS)
            return 1
        LOG.error("the server died of signal %s, and is started again", -code)
    return 0


def _begin(serve: Callable[[], int]) -> tuple[int, int]:
    """The child, and a pipe that tells it by its end that this process is gone."""
    reading, writing = os.pipe()
    if child := os.fork():
        os.close(reading)
        return child, writing
    code = 1
    try:
        os.close(writing)
        for number in _ENDING:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
        threading.Thread(target=_end_with, args=(reading,), daemon=True).start()
        code = serve()
    except Exception:
        LOG.exception("the server failed")
    finally:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # what stands above on the stack is the keeper's


def _end_with(lifeline: int) -> None:
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(1)
