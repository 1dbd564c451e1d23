"""Measurement of complete processes: wall time from start to end, processor time and peak memory."""

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
# The peak memory of a process includes that of its parent at the start, so a small process starts it.
_WATCHER = """
import os, sys
process = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(process, 0)
os.write(int(sys.argv[1]), f"{usage.ru_maxrss} {usage.ru_utime + usage.ru_stime}".encode())
sys.exit(os.waitstatus_to_exitcode(status))
"""


class ProcessFailed(LakehouseError):
    """A measured process failed, so its figures are meaningless."""


@dataclass(frozen=True)
class Usage:
    """Resource usage and output of one process.

    Attributes:
        seconds: wall time from start to end.
        computing: processor seconds of all cores; more reliable than wall time if other work runs.
        peak: peak resident memory, in bytes.
    """

    seconds: float
    computing: float
    peak: int
    output: str

    @property
    def cells(self) -> list[str]:
        return [f"{self.seconds:.1f} s", f"{self.computing:.1f} s", mebibytes(self.peak)]


def measure(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Usage:
    """Run a command and measure it.

    Raises:
        ProcessFailed: the exit code is not 0. The message contains the end of the output.
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
    """Path of a command of this Python environment."""
    return str(Path(sys.executable).with_name(name))


def mebibytes(size: int) -> str:
    """Format a size in bytes as MiB."""
    return f"{size / 2**20:,.0f} MiB"


def compare_medians(title: str, ours: Callable[[], float], peer: Callable[[], float]) -> list[Any]:
    """Table row with the medians of both sides: one warm-up each, then RUNS alternating runs.

    The runs alternate so that changes of the machine's load affect both sides.
    """
    ours(), peer()
    pairs = [(ours(), peer()) for _ in range(RUNS)]
    our_seconds, peer_seconds = (median(side) for side in zip(*pairs, strict=True))
    return [title, f"{our_seconds:.1f} s", f"{peer_seconds:.1f} s", f"{peer_seconds / our_seconds:.1f} x"]
