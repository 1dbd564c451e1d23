"""Daemon threads: the process exits without waiting for their work."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Result = TypeVar("Result")


async def in_daemon_thread(work: Callable[[], Result]) -> Result:
    """Run a function in a new daemon thread.

    The threads of `asyncio.to_thread` are joined at exit. A model that loads for minutes, or hangs, must not keep
    the server from stopping.
    """
    future: Future[Result] = Future()

    def run() -> None:
        future.set_running_or_notify_cancel()
        try:
            future.set_result(work())
        except BaseException as err:  # noqa: BLE001 - raised again where the result is awaited
            future.set_exception(err)

    threading.Thread(target=run, daemon=True).start()
    return await asyncio.wrap_future(future)
