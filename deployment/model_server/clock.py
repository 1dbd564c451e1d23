"""Time as a parameter, so that no test waits."""

import time
from typing import Protocol


class Clock(Protocol):
    """Seconds since 1970, and waiting."""

    def time(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's clock."""

    def time(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


SYSTEM: Clock = SystemClock()
