"""What a whole process takes: its time from start to end, and the most memory it ever held."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from lakehouse.errors import LakehouseError

RUNS = 3
# A process begins with the memory of the one that starts it, and its peak remembers that: so a small one starts it.
_WATCHER = """
import os, sys
process = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(process, 0)
os.write(int(sys.argv[1]), f"{usage.ru_maxrss} {usage.ru_utime + usage.ru_stime}".encode())
sys.exit(os.waitstatus_to_exitcode(status))
"""


class ProcessFailed(LakehouseError):
    """A measured process did not do its work, so its figures mean nothing."""


@dataclass(frozen=True)
class Usage:
    """What one process took, and what it printed.

    Attributes:
        seconds: wall clock, from its start to its end.
        computing: seconds of all cores together; beside other work, what a time means.
        peak: bytes of memory that were resident at most.
    """

    seconds: float
    computing: float
    peak: int
    output: str

    @property
    def cells(self) -> list[str]:
        return [f"{self.seconds:.1f} s", f"{self.computing:.1f} s", mebibytes(self.peak)]


def measure(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Usage:
    """Run a command to its end.

    Raises:
        ProcessFailed: it exited with anything but 0; the end of its output is in the message.
    """
    reading, writing = os.pipe()
    begin = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-S", "-E", "-c", _WATCHER, str(writing), *command],
        cwd=folder,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        pass_fds=[writing],
    ) as process:
        os.close(writing)
        output = process.stdout.read() if process.stdout else ""
    seconds = time.monotonic() - begin
    with os.fdopen(reading) as report:
        used = report.read().split()
    if process.returncode:
        raise ProcessFailed(f"{' '.join(command)} exited with {process.returncode}:\n{output[-2000:]}")
    peak, computing = used
    return Usage(seconds, float(computing), int(peak) * 1024, output)


def tool(name: str) -> str:
    """A command of this environment."""
    return str(Path(sys.executable).with_name(name))


def mebibytes(size: int) -> str:
    """A size as a table shows it."""
    return f"{size / 2**20:,.0f} MiB"


def in_turn(what: str, ours: Callable[[], float], peer: Callable[[], float]) -> list[Any]:
    """A row of medians: both once to warm up, then each RUNS times, alternating.

    What differs is then the work and not the hour.
    """
    ours(), peer()
    pairs = [(ours(), peer()) for _ in range(RUNS)]
    our_seconds, peer_seconds = (median(side) for side in zip(*pairs, strict=True))
    return [what, f"{our_seconds:.1f} s", f"{peer_seconds:.1f} s", f"{peer_seconds / our_seconds:.1f} x"]
