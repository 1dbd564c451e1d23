"""One writer at a time: two would take each other's drafts away, and tell it as a broken table."""

import fcntl
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from lakehouse.errors import LakehouseError

FILE = ".writer"  # below the warehouse


class WarehouseBusy(LakehouseError):
    """Another process is building in the warehouse."""

    @classmethod
    def by(cls, root: Path, who: str) -> "WarehouseBusy":
        return cls(
            f"the warehouse {root} is being written to by {who or 'another process'}",
            hint="Wait until it has ended, then run the command again. Reading is free at any time.",
        )


@dataclass(frozen=True)
class WriterLock:
    """The right to write to a warehouse; gone with the process, however it ends."""

    file: IO[str]

    @classmethod
    def on(cls, root: Path) -> "WriterLock":
        """Take the right.

        Raises:
            WarehouseBusy: another process, or another claim of this one, has it.
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
        """Give the right back."""
        self.file.close()
