"""What tries a task, on its way to another machine: a file where that machine sees it, or else its bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir
from typing import Self

from lakehouse.errors import LakehouseError
from training.search import record
from training.search.executors import mapped_pickle
from training.search.trial import Trial, TrialSpec

LIMIT = 64 * 2**20  # bytes that travel with each task


class AttemptFileRefused(LakehouseError):
    """The data cannot travel."""

    @classmethod
    def too_large(cls, path: Path, size: int) -> "AttemptFileRefused":
        return cls(
            f"the workers do not see {path.parent}, and the data of {size / 2**20:,.0f} MiB is more than the "
            f"{LIMIT / 2**20:,.0f} MiB that travel with each trial",
            hint="Set TMPDIR to a folder that every worker sees, or say --executor processes.",
        )


@dataclass(frozen=True)
class AttemptFile:
    """An attempt that a worker unpacks once, however many tasks it gets.

    Attributes:
        path: the shared file, where the worker sees it.
        digest: SHA-256 of the file.
        carried: its bytes, where workers do not see it.
    """

    path: str
    digest: str
    carried: bytes | None = None

    @classmethod
    def packed(cls, attempt: Callable[[TrialSpec], Trial], path: Path) -> Self:
        """Write the attempt to `path`."""
        mapped_pickle.write(attempt, path)
        with path.open("rb") as file:
            digest = sha256()
            while part := file.read(2**20):
                digest.update(part)
        return cls(str(path), digest.hexdigest())

    def seen(self) -> bool:
        """Whether this machine sees the file."""
        return Path(self.path).exists()

    def with_bytes(self) -> Self:
        """The parcel with all that it needs.

        Raises:
            ParcelRefused: that is too much to travel.
        """
        path = Path(self.path)
        if (size := path.stat().st_size) > LIMIT:
            raise AttemptFileRefused.too_large(path, size)
        return type(self)(self.path, self.digest, path.read_bytes())

    def attempted(self, task: TrialSpec) -> str:
        """The task's trial, as a record."""
        return record.written(self._unpacked()(task))

    def _unpacked(self) -> Callable[[TrialSpec], Trial]:
        if self.seen() or self.carried is None:
            return _read(self.path)
        path = Path(gettempdir()) / f"search-{self.digest}"
        if not path.exists():
            beside = path.with_suffix(f".{id(self)}")
            beside.write_bytes(self.carried)
            beside.replace(path)  # whole or not at all, whoever else writes it
        return _read(str(path))


@lru_cache(maxsize=1)
def _read(path: str) -> Callable[[TrialSpec], Trial]:
    attempt: Callable[[TrialSpec], Trial] = mapped_pickle.read(Path(path))
    return attempt
