"""Checkpoints of a fit: an interrupted fit of the same rows with the same options continues where it was.

A fit that takes seconds writes nothing. The file holds arrays alone, so reading it runs no code.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, time
from typing import Any, Self
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from lakehouse.settings import PROJECT

FOLDER = PROJECT / "target" / "checkpoints"
SECONDS = 30.0  # between two checkpoints
FORMAT = 2  # of the arrays: a file of another format is not resumed
KEPT_DAYS = 7  # checkpoints of fits that nobody repeated

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass
class Checkpoint:
    """The checkpoint of one fit.

    Attributes:
        path: its file, named by a digest of rows and options.
        seconds: least time between two checkpoints.
    """

    path: Path
    seconds: float = SECONDS

    def __post_init__(self) -> None:
        self._saved = monotonic()

    @classmethod
    def of(cls, options: object, *arrays: npt.NDArray[Any] | None) -> Self:
        """The checkpoint of a fit with these options on these arrays."""
        found = hashlib.sha256(repr((FORMAT, options)).encode())
        for array in arrays:
            found.update(b"none" if array is None else np.ascontiguousarray(array).tobytes())
        return cls(FOLDER / f"{found.hexdigest()}.npz", SECONDS)

    @classmethod
    def never(cls) -> Self:
        """No checkpoint: it is never due, and there is no file."""
        return cls(FOLDER / "never.npz", float("inf"))

    def load(self) -> Arrays | None:
        """The arrays of an interrupted fit; None if there are none, or the file is damaged."""
        if not self.path.exists():
            return None
        try:
            with self.path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return dict(arrays)
        except (ValueError, OSError, EOFError, BadZipFile):
            return None  # a full disk cut it off: the fit starts again

    def is_due(self) -> bool:
        """True if the last checkpoint, or the start, is long enough ago."""
        return monotonic() - self._saved >= self.seconds

    def save(self, arrays: Arrays) -> None:
        """Write the arrays in place of the last checkpoint, and delete old ones of other fits."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for other in self.path.parent.iterdir():
            if other.stat(follow_symlinks=False).st_mtime < time() - KEPT_DAYS * 86_400:
                other.unlink(missing_ok=True)
        written = self.path.with_suffix(f".{os.getpid()}")
        with written.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # its stub takes a flag among the names
        written.replace(self.path)
        self._saved = monotonic()

    def delete(self) -> None:
        """Delete the file once the fit has ended."""
        self.path.unlink(missing_ok=True)
