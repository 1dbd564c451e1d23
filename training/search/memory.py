"""Whether dense rows have room in memory: a search that would swap is refused before its first trial."""

import os
from pathlib import Path

from lakehouse.errors import LakehouseError
from training.frame.frame import TrainingFrame
from training.models import FAMILIES
from training.search.blend_candidate import BLEND
from training.use_case.search import SearchPlan

MEMINFO = Path("/proc/meminfo")
COPIES = 3  # of dense rows at once: ours, the learner's, and what it makes of them
LOCAL = frozenset({"in_process", "processes"})


class RowsTooLarge(LakehouseError):
    """Dense rows would not fit into memory."""

    @classmethod
    def of(cls, needed: str, rows: int, columns: int, room: int) -> "RowsTooLarge":
        sparse = ", ".join(name for name, family in FAMILIES.items() if family.searched and family.takes == "sparse")
        return cls(
            f"{needed} for {rows:,} rows x {columns:,} columns, and {_mebibytes(room)} are free",
            hint=f"Search families that take sparse rows ({sparse}), with blend: 0; or fewer trials at once, or "
            "exclude features.",
        )


def require_room(plan: SearchPlan, frame: TrainingFrame) -> str | None:
    """What the dense rows of a search take at most, in words; None where every family takes sparse ones.

    Raises:
        RowsTooLarge: it is more than this machine has free.
    """
    asking = [name for name in plan.families if FAMILIES[name].takes == "dense"]
    if not asking and plan.blend:
        asking = [BLEND]
    if not asking:
        return None
    columns = len(frame.encoder.features)
    at_once = plan.parallelism if plan.runs_on in LOCAL else 1  # elsewhere trials take the memory of workers
    needed = len(frame) * columns * 8 * COPIES * at_once
    told = f"dense rows ({', '.join(asking)}) take up to {_mebibytes(needed)}"
    if needed > (room := available()):
        raise RowsTooLarge.of(told, len(frame), columns, room)
    return told


def available() -> int:
    """Bytes that can be taken without swapping; where the system does not say, all that there are."""
    if MEMINFO.exists():
        for line in MEMINFO.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
