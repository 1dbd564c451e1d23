"""The temporary folder of a search, locked while its process lives: the next start removes unlocked ones."""

import fcntl
import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

PREFIX, LOCK = "search-", "lakehouse-ml.lock"


class SearchFolder(TemporaryDirectory[str]):
    """A temporary folder with a lock, which its process holds until `cleanup` or its end."""

    def __init__(self) -> None:
        super().__init__(prefix=PREFIX)
        # The file gets its name once it is locked: under that name, an unlocked one was left behind.
        self._lock = (Path(self.name) / f"{LOCK}.new").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        (Path(self.name) / f"{LOCK}.new").rename(Path(self.name) / LOCK)

    def cleanup(self) -> None:
        super().cleanup()
        self._lock.close()


def remove_left_behind() -> int:
    """Remove the folders of ended processes of this user; return their number."""
    return sum(_remove_if_left_behind(lock) for lock in Path(gettempdir()).glob(f"{PREFIX}*/{LOCK}"))


def _remove_if_left_behind(path: Path) -> bool:
    try:
        with path.open("r+") as lock:
            if os.fstat(lock.fileno()).st_uid != os.getuid():
                return False
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path.parent, ignore_errors=True)
    except OSError:  # its process is alive, another process removes it, or it belongs to another user
        return False
    return True
