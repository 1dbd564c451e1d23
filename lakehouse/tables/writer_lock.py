"""A lock for the only writer of a warehouse: two writers would delete each other's drafts."""

import fcntl
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from lakehouse.errors import LakehouseError

FILE = ".writer"  # below the warehouse


class WarehouseBusy(LakehouseError):
    """Another process writes to the warehouse."""

    @classmethod
    def by(cls, root: Path, holder: str) -> "WarehouseBusy":
        return cls(
            f"the warehouse {root} is being written to by {holder or 'another process'}",
            hint="Wait until it ends, then run the command again. Reading is possible at any time.",
        )


@dataclass(frozen=True)
class WriterLock:
    """A lock on a warehouse; the system releases it when the process ends."""

    file: IO[str]

    @classmethod
    def on(cls, root: Path) -> "WriterLock":
        """Acquire the lock.

        Raises:
            WarehouseBusy: another process, or another lock of this process, holds it.
        """
        file = (root / FILE).open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            file.seek(0)
            holder = file.read()
            file.close()
            raise WarehouseBusy.by(root, holder) from err
        file.truncate(0)
        file.write(f"process {os.getpid()} since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC")
        file.flush()
        return cls(file)

    def release(self) -> None:
        """Release the lock."""
        self.file.close()
