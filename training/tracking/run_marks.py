"""Marks of the training runs of this checkout: a locked file each, so that the next start finds killed ones."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from training.tracking.trials import UNREACHABLE
from training.tracking.unlogged_trials import RunInUse, lock

SUFFIX = ".run"


@dataclass(frozen=True)
class MarkedRun:
    """A run, and the MLflow server that it is logged to."""

    tracking_uri: str
    run_id: str


@contextmanager
def run_mark(folder: Path, run: MarkedRun) -> Iterator[None]:
    """Mark the run as active during the block. The mark of a process that is killed stays, without its lock.

    It also stays if MLflow does not respond: the run may still be RUNNING there.

    Raises:
        RunInUse: another process has marked the run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{run.run_id}{SUFFIX}"
    with path.open("a", encoding="utf-8") as file:
        if not lock(file):
            raise RunInUse.held(run.run_id)
        file.truncate(0)
        file.write(json.dumps(asdict(run)))
        file.flush()
        try:
            yield
        except UNREACHABLE:
            raise
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        path.unlink(missing_ok=True)


def left_behind_runs(folder: Path, tracking_uri: str) -> Iterator[MarkedRun]:
    """Marked runs of ended processes for this MLflow server; the mark of each is removed once it is handled."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        with path.open(encoding="utf-8") as file:
            if not lock(file):
                continue  # its process is alive
            run = _read(file.read())
            if run is not None and run.tracking_uri != tracking_uri:
                continue
            if run is not None:
                yield run
            path.unlink(missing_ok=True)


def _read(text: str) -> MarkedRun | None:
    """The run of a mark; None if its process was killed before it was written."""
    try:
        return MarkedRun(**json.loads(text))
    except json.JSONDecodeError:
        return None
