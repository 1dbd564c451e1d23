"""Each trial in a file of this machine as it ends, until MLflow has them all."""

import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from lakehouse.errors import LakehouseError
from training.search import record
from training.search.trial import Trial


class RunInUse(LakehouseError):
    """Another process searches for the same run."""

    @classmethod
    def held(cls, run_id: str) -> "RunInUse":
        return cls(f"run {run_id} is being searched by another process", hint="Wait for it, or end it.")


@dataclass(frozen=True)
class Header:
    """Whose trials they are."""

    tracking_uri: str
    run_id: str
    seed: int


class TrialJournal:
    """An append-only file of trials, one a line after the header. A line that was not written whole is passed over.

    It is locked as long as it is open: what is not locked was left behind by a process that ended.
    """

    def __init__(self, path: Path, header: Header, file: TextIO) -> None:
        self.path, self.header, self._file = path, header, file

    @classmethod
    def open(cls, folder: Path, header: Header) -> "TrialJournal":
        """The run's journal, made where it is missing.

        Raises:
            RunInUse: another process has it open.
        """
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{header.run_id}.jsonl"
        file = path.open("a", encoding="utf-8")
        if not _lock(file):
            file.close()
            raise RunInUse.held(header.run_id)
        journal = cls(path, header, file)
        if path.stat().st_size == 0:
            journal._write(json.dumps(asdict(header)))
        return journal

    def add(self, trial: Trial) -> None:
        """Write the trial; it is on the disk when this returns."""
        self._write(record.written(trial))

    def trials(self) -> list[Trial]:
        """Every trial that was written whole."""
        _, *lines = self.path.read_text(encoding="utf-8").split("\n")
        return [record.read(line) for line in lines if _is_whole(line)]

    def close(self, *, delete: bool) -> None:
        """Let go of the file; `delete` where nothing in it is needed any more."""
        if delete:
            self.path.unlink()
        self._file.close()

    def _write(self, line: str) -> None:
        self._file.write(line + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def left_behind(folder: Path, tracking_uri: str) -> Iterator[TrialJournal]:
    """The journals of ended processes whose trials belong to this MLflow."""
    for path in sorted(folder.glob("*.jsonl")):
        said = path.read_text(encoding="utf-8").partition("\n")[0]
        if _is_whole(said):
            header = Header(**json.loads(said))
            if header.tracking_uri == tracking_uri:
                try:
                    yield TrialJournal.open(folder, header)
                except RunInUse:
                    continue


def _lock(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_whole(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except json.JSONDecodeError:
        return False
