"""Local journal of a search: each trial as it ends, until MLflow has all of them."""

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
    """Another process is searching for the same run."""

    @classmethod
    def held(cls, run_id: str) -> "RunInUse":
        return cls(f"run {run_id} is being searched by another process", hint="Wait for it, or stop it.")


@dataclass(frozen=True)
class Header:
    """The run that the trials of a journal belong to."""

    tracking_uri: str
    run_id: str
    seed: int


class TrialJournal:
    """An append-only file: a header, then one trial a line. Incomplete lines are skipped.

    The file is locked while it is open. A file without a lock was left behind by an ended process.
    """

    def __init__(self, path: Path, header: Header, file: TextIO) -> None:
        self.path, self.header, self._file = path, header, file

    @classmethod
    def open(cls, folder: Path, header: Header) -> "TrialJournal":
        """Open the journal of a run; create it if it is missing.

        Raises:
            RunInUse: another process has it open.
        """
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{header.run_id}.jsonl"
        file = path.open("a", encoding="utf-8")
        if not lock(file):
            file.close()
            raise RunInUse.held(header.run_id)
        journal = cls(path, header, file)
        if path.stat().st_size == 0:
            journal._write(json.dumps(asdict(header)))
        return journal

    def add(self, trial: Trial) -> None:
        """Write the trial; it is on disk on return."""
        self._write(record.to_json(trial))

    def trials(self) -> list[Trial]:
        """Every completely written trial."""
        _, *lines = self.path.read_text(encoding="utf-8").split("\n")
        return [record.from_json(line) for line in lines if _is_complete(line)]

    def close(self, *, delete: bool) -> None:
        """Close and unlock the file; `delete` it if its trials are logged."""
        if delete:
            self.path.unlink()
        self._file.close()

    def _write(self, line: str) -> None:
        self._file.write(line + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def left_behind(folder: Path, tracking_uri: str) -> Iterator[TrialJournal]:
    """Journals of ended processes for this MLflow server."""
    for path in sorted(folder.glob("*.jsonl")):
        first_line = path.read_text(encoding="utf-8").partition("\n")[0]
        if _is_complete(first_line):
            header = Header(**json.loads(first_line))
            if header.tracking_uri == tracking_uri:
                try:
                    yield TrialJournal.open(folder, header)
                except RunInUse:
                    continue


def lock(file: TextIO) -> bool:
    """Lock the file until it is closed or the process ends; return False if another process has locked it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_complete(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except json.JSONDecodeError:
        return False
