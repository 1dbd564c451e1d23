"""Time as a parameter, so that tests need not wait."""

import time
from typing import Protocol


class Clock(Protocol):
    """The time in seconds since 1970, and sleep."""

    def time(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's clock."""

    def time(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


SYSTEM: Clock = SystemClock()
