"""Memory check for dense rows: a search that would swap is refused before its first trial."""

import os
from pathlib import Path

from lakehouse.errors import LakehouseError
from training.frame.frame import TrainingFrame
from training.models import FAMILIES
from training.search.ensemble_candidates import BLEND
from training.use_case.search import SearchPlan

MEMINFO = Path("/proc/meminfo")
COPIES = 3  # copies of dense rows at once: ours, the learner's, and its intermediate ones
LOCAL = frozenset({"in_process", "processes"})


class RowsTooLarge(LakehouseError):
    """Dense rows do not fit into memory."""

    @classmethod
    def of(cls, needed: str, rows: int, columns: int, free: int) -> "RowsTooLarge":
        sparse = ", ".join(
            name for name, family in FAMILIES.items() if family.searched and family.matrix_format == "sparse"
        )
        return cls(
            f"{needed} for {rows:,} rows x {columns:,} columns, and {_mebibytes(free)} are free",
            hint=f"Search families with sparse rows ({sparse}) and blend: 0, run fewer trials at once, or exclude "
            "features.",
        )


def require_memory(plan: SearchPlan, frame: TrainingFrame) -> str | None:
    """Describe the peak memory of dense rows in a search; None if every family uses sparse rows, or
    rows stay on Spark.

    Raises:
        RowsTooLarge: it exceeds the free memory of this machine.
    """
    if frame.stays_on_spark:
        return None
    dense = [name for name in plan.families if FAMILIES[name].matrix_format == "dense"]
    if not dense and plan.blend:
        dense = [BLEND]
    if not dense:
        return None
    columns = len(frame.encoder.number_features)
    at_once = (
        plan.parallelism if plan.resolved_executor in LOCAL else 1
    )  # other executors use the memory of their workers
    needed = len(frame) * columns * 8 * COPIES * at_once
    described = f"dense rows ({', '.join(dense)}) take up to {_mebibytes(max(needed, 2**20))}"
    if needed > (free := available_bytes()):
        raise RowsTooLarge.of(described, len(frame), columns, free)
    return described


def available_bytes() -> int:
    """Free memory without swapping, in bytes; the total memory if the system does not report it."""
    if MEMINFO.exists():
        for line in MEMINFO.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
