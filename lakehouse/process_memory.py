"""Memory of the machine, and of this process from Linux's `/proc`; elsewhere that is neither measured nor limited."""

import os
import resource
from functools import cache
from pathlib import Path

_STATM = Path("/proc/self/statm")
_RESIDENT, _DATA = 1, 5  # fields: pages in memory, pages of data and stack
MEASURED = _STATM.exists()


def resident_memory() -> int:
    """Resident memory in bytes; 0 where it is not measured."""
    return _pages(_RESIDENT)


def machine_memory() -> int:
    """Memory of the machine in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def limit_private_memory(more: int) -> None:
    """Let this process allocate this many bytes beyond its present private memory; mapped files do not count."""
    if MEASURED:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (_pages(_DATA) + more, hard))


def _pages(field: int) -> int:
    if not MEASURED:
        return 0
    return int(_STATM.read_bytes().split()[field]) * _page_size()


@cache
def _page_size() -> int:
    return resource.getpagesize()
