"""Processor time and memory of all processes of one session of the system, such as a JVM and its Python workers."""

import os
from collections.abc import Iterator
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def processor_seconds(session: int) -> float:
    """Processor time of the session's processes, ended children included, in seconds."""
    return sum(sum(map(int, stat[11:15])) for stat in _stats(session)) / _TICKS


def resident_bytes(session: int) -> int:
    """Resident memory of the session's processes at this moment, in bytes; shared pages count in each of them."""
    return sum(int(stat[21]) for stat in _stats(session)) * _PAGE


def _stats(session: int) -> Iterator[list[str]]:
    """The fields of `/proc/PID/stat` after the name, which may have blanks: the first is the state."""
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text(encoding="utf-8").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        if int(fields[3]) == session:
            yield fields
