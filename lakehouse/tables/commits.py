"""Commits of a Delta table: their times, and the data files that each of them adds and removes."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

_COMMIT = re.compile(r"\d{20}\.json")


@dataclass(frozen=True)
class Commit:
    """One commit of a Delta log.

    Attributes:
        version: the version that it makes.
        at: its time.
        files: paths of the files that it adds or removes, relative to the table.
        new: paths of added files whose rows are new; a compaction adds files of earlier rows.
        removes_rows: True if it removes files for another reason than a compaction.
    """

    version: int
    at: datetime
    files: frozenset[str]
    new: frozenset[str]
    removes_rows: bool


def commits(location: Path, since: int = 0) -> Iterator[Commit]:
    """Commits from a version on, oldest first; those that were cleaned up are missing."""
    for file in sorted((location / "_delta_log").glob("*.json")):
        if _COMMIT.fullmatch(file.name) and int(file.stem) >= since:
            yield _commit(file)


def _commit(file: Path) -> Commit:
    time = file.stat().st_mtime
    files, new, removes_rows = set[str](), set[str](), False
    with file.open(encoding="utf-8") as lines:
        for action in map(json.loads, lines):
            if add := action.get("add"):
                files.add(unquote(add["path"]))
                if add["dataChange"]:
                    new.add(unquote(add["path"]))
            elif remove := action.get("remove"):
                files.add(unquote(remove["path"]))
                removes_rows |= remove["dataChange"]
            elif info := action.get("commitInfo"):
                time = info.get("timestamp", time * 1000) / 1000
    return Commit(int(file.stem), datetime.fromtimestamp(time, UTC), frozenset(files), frozenset(new), removes_rows)
