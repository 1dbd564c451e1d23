"""The attempt of a search, sent to another machine: as a file that the machine sees, or else as its bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir
from typing import Self

from lakehouse.engine.payload_limit import PAYLOAD_LIMIT, PayloadTooLarge
from training.search import record
from training.search.executors import mapped_pickle
from training.search.trial import Trial, TrialSpec


@dataclass(frozen=True)
class AttemptFile:
    """An attempt that a worker reads once, for all of its trials.

    Attributes:
        path: the shared file, as the worker sees it.
        digest: SHA-256 of the file.
        content: its bytes, if workers do not see the file.
    """

    path: str
    digest: str
    content: bytes | None = None

    @classmethod
    def write(cls, attempt: Callable[[TrialSpec], Trial], path: Path) -> Self:
        """Write the attempt to `path`."""
        mapped_pickle.write(attempt, path)
        with path.open("rb") as file:
            digest = sha256()
            while chunk := file.read(2**20):
                digest.update(chunk)
        return cls(str(path), digest.hexdigest())

    def is_visible(self) -> bool:
        """True if this machine sees the file."""
        return Path(self.path).exists()

    def with_content(self) -> Self:
        """The attempt file with its bytes.

        Raises:
            PayloadTooLarge: the file is larger than the limit.
        """
        path = Path(self.path)
        if (size := path.stat().st_size) > PAYLOAD_LIMIT:
            content = f"the data of the search ({size / 2**20:,.0f} MiB)"
            raise PayloadTooLarge.of(content, path.parent, "pass --executor processes")
        return type(self)(self.path, self.digest, path.read_bytes())

    def run(self, spec: TrialSpec) -> str:
        """Run a trial; return it as JSON."""
        return record.to_json(self._load()(spec))

    def _load(self) -> Callable[[TrialSpec], Trial]:
        if self.is_visible() or self.content is None:
            return _read(self.path)
        path = Path(gettempdir()) / f"search-{self.digest}"
        if not path.exists():
            temporary = path.with_suffix(f".{id(self)}")
            temporary.write_bytes(self.content)
            temporary.replace(path)  # atomic, since other processes may write it too
        return _read(str(path))


@lru_cache(maxsize=1)
def _read(path: str) -> Callable[[TrialSpec], Trial]:
    attempt: Callable[[TrialSpec], Trial] = mapped_pickle.read(Path(path))
    return attempt
