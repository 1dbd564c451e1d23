"""Work that the end of the process does not wait for."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Result = TypeVar("Result")


async def in_daemon_thread(work: Callable[[], Result]) -> Result:
    """Run a function in a thread of its own.

    Unlike `asyncio.to_thread`, whose threads are joined at exit: a model that loads for a minute, or for ever, must
    not keep a server from stopping.
    """
    future: Future[Result] = Future()

    def run() -> None:
        future.set_running_or_notify_cancel()
        try:
            future.set_result(work())
        except BaseException as err:  # noqa: BLE001 - it is raised again where the result is awaited
            future.set_exception(err)

    threading.Thread(target=run, daemon=True).start()
    return await asyncio.wrap_future(future)
