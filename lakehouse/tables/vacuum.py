"""Compaction and vacuum of one Delta table in a folder, by the versions of it that must stay readable.

delta-rs compacts. It does not delete: its `vacuum` commits two versions each time, and either leaves the files of
killed writes or deletes those of open writers. Its clean-up of the log goes by age, and an old version that is still
needed would lose its log.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import pyarrow as pa
from deltalake import DeltaTable, PostCommitHookProperties

from lakehouse.errors import LakehouseError
from lakehouse.tables.commits import Commit, commits

SMALL = 32 * 2**20  # bytes of a file that a compaction is meant for
MANY = 16  # small files of a partition that are compacted
COMMITS = 10  # commits after which a reader gets a checkpoint
UNCOMMITTED = timedelta(days=1)  # least age of a file without a commit: an open writer commits sooner
_LOG_ENTRY = re.compile(r"\.?(\d{20})\.")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint\.parquet")
_NO_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)


class TableDamaged(LakehouseError):
    """The newest version of a table lacks data files or its log."""

    @classmethod
    def without_files(cls, location: Path, missing: Sequence[Path]) -> "TableDamaged":
        return cls(
            f"{location} lacks {len(missing):,} files of its newest version, such as {missing[0].name}",
            hint="Nothing of it was deleted. Restore the folder, or delete it and run dbt build.",
        )

    @classmethod
    def without_log(cls, location: Path) -> "TableDamaged":
        return cls(
            f"the log of {location} has neither its first commit nor a checkpoint",
            hint="Nothing of it was deleted. Restore the folder, or delete it and run dbt build.",
        )


@dataclass(frozen=True)
class FolderSize:
    """Number of files of a folder and their bytes."""

    files: int = 0
    size: int = 0

    @classmethod
    def of(cls, files: Collection[Path]) -> "FolderSize":
        """Size of these files."""
        return cls(len(files), sum(file.stat().st_size for file in files))

    @classmethod
    def below(cls, folder: Path) -> "FolderSize":
        """Size of all files below a folder; zero without a folder."""
        return cls.of([file for file in folder.rglob("*") if file.is_file()])

    def __add__(self, other: "FolderSize") -> "FolderSize":
        return FolderSize(self.files + other.files, self.size + other.size)

    def __sub__(self, other: "FolderSize") -> "FolderSize":
        return FolderSize(self.files - other.files, self.size - other.size)


@dataclass(frozen=True)
class VacuumPlan:
    """Files to delete, and the versions that keep theirs.

    Attributes:
        kept: versions that stay readable.
        lost: needed versions that were no longer readable before.
        data: data files of no kept version.
        log: files of the log that no kept version needs, oldest first.
    """

    kept: frozenset[int]
    lost: frozenset[int]
    data: tuple[Path, ...]
    log: tuple[Path, ...]

    @property
    def size(self) -> FolderSize:
        return FolderSize.of([*self.data, *self.log])

    def execute(self) -> None:
        """Delete the files: data before log, so that an interrupted run leaves nothing that the next cannot find."""
        for file in self.data:
            file.unlink()
            file.with_name(f".{file.name}.crc").unlink(missing_ok=True)  # JVM Spark's checksum
        for file in self.log:
            file.unlink()


def is_append_only(location: Path) -> bool:
    """True for a table such as the ledger: nothing of it is ever deleted, and it has one writer."""
    return DeltaTable(location).metadata().configuration.get("delta.appendOnly") == "true"


def compactable(location: Path) -> int:
    """Number of small files that `compact` would merge."""
    table = DeltaTable(location)
    added = pa.table(table.get_add_actions())
    sizes = zip(added["path"].to_pylist(), added["size_bytes"].to_pylist(), strict=True)
    small = Counter(PurePosixPath(path).parent for path, size in sizes if size < SMALL)
    return sum(small.values()) if max(small.values(), default=0) >= MANY else 0


def compact(location: Path) -> None:
    """Merge small files and write a checkpoint, where there are many small files or commits.

    Raises:
        DeltaError: the table cannot be read, or another writer removed its files at the same time.
    """
    if compactable(location):
        DeltaTable(location).optimize.compact(post_commithook_properties=_NO_HOOKS)
    table = DeltaTable(location)
    if table.version() - max(_checkpoints(location), default=-1) > COMMITS:
        table.create_checkpoint()
        # Sail reads no version before the one that this file names, and every reader finds checkpoints without it.
        (location / "_delta_log" / "_last_checkpoint").unlink(missing_ok=True)


def plan_vacuum(location: Path, needed: Collection[int], retain: timedelta, now: datetime) -> VacuumPlan:
    """Find the files that neither a needed version nor one that was the newest within `retain` reads.

    Raises:
        TableDamaged: the newest version cannot be read.
        DeltaError: another version to keep cannot be read.
    """
    history = list(commits(location))
    first, newest = _first_readable(location, history), DeltaTable(location).version()
    recent = {commit.version for commit, successor in pairwise(history) if successor.at > now - retain}
    kept = {version for version in {*needed, *recent, newest} if first <= version <= newest}
    files = {version: set(_files(DeltaTable(location, version=version))) for version in kept}
    if missing := sorted(file for file in files[newest] if not file.exists()):
        raise TableDamaged.without_files(location, missing)
    lost = {version for version in needed if version not in kept or not all(map(Path.exists, files[version]))}
    read = set[Path]().union(*files.values())
    committed = {location / path for commit in history for path in commit.files}
    oldest = (now - max(retain, UNCOMMITTED)).timestamp()
    unread = (file for file in _data_files(location) if file not in read)
    data = sorted(file for file in unread if file in committed or file.stat().st_mtime < oldest)
    return VacuumPlan(frozenset(kept), frozenset(lost), tuple(data), tuple(_unneeded_log(location, min(kept))))


def _first_readable(location: Path, history: Sequence[Commit]) -> int:
    if history and history[0].version == 0:
        return 0
    checkpoints = _checkpoints(location)
    if not checkpoints:
        raise TableDamaged.without_log(location)
    return min(checkpoints)


def _files(table: DeltaTable) -> Iterator[Path]:
    for uri in table.file_uris():
        yield Path(unquote(urlsplit(uri).path) if uri.startswith("file:") else uri)


def _data_files(location: Path) -> Iterator[Path]:
    """Parquet files of a table; folders whose names begin with _ or . are not its data."""
    for file in location.rglob("*.parquet"):
        if not any(part.startswith(("_", ".")) for part in file.relative_to(location).parts):
            yield file


def _unneeded_log(location: Path, oldest: int) -> Iterator[Path]:
    """Log files before the last checkpoint from which the oldest kept version can be read."""
    start = max((version for version in _checkpoints(location) if version <= oldest), default=0)
    for file in sorted((location / "_delta_log").iterdir(), key=lambda file: file.name.lstrip(".")):
        if (entry := _LOG_ENTRY.match(file.name)) and int(entry[1]) < start:
            yield file


def _checkpoints(location: Path) -> Mapping[int, Path]:
    found = ((_CHECKPOINT.fullmatch(file.name), file) for file in (location / "_delta_log").iterdir())
    return {int(match[1]): file for match, file in found if match}
