"""Compaction and vacuum of one table: rows of every kept version stay, all else goes, also under a kill."""

import os
import shutil
import time
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from lakehouse.session import open_session
from lakehouse.tables.commits import commits
from lakehouse.tables.vacuum import (
    COMMITS,
    MANY,
    FolderSize,
    TableDamaged,
    VacuumPlan,
    compact,
    compactable,
    plan_vacuum,
)

NOTHING, WEEK = timedelta(0), timedelta(days=7)
TEXTS = ["O'Brien", "a\\b", "x=y z%2F", "ü", None]


def append(table: Path, number: int, mode: Any = "append") -> None:
    rows = pa.table({"text": pa.array(TEXTS), "number": pa.array([number] * len(TEXTS), pa.int64())})
    write_deltalake(table, rows, mode=mode, partition_by=["text"])


def rows(table: Path, version: int | None = None) -> list[dict[str, Any]]:
    return sorted(DeltaTable(table, version=version).to_pyarrow_table().to_pylist(), key=str)


def vacuum(table: Path, needed: Collection[int] = (), retain: timedelta = NOTHING) -> VacuumPlan:
    compact(table)
    plan = plan_vacuum(table, needed, retain, datetime.now(UTC))
    plan.execute()
    return plan


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty appends to five partitions, of which the twelfth replaces all rows."""
    table = tmp_path_factory.mktemp("tables") / "table"
    for number in range(20):
        append(table, number, "overwrite" if number == 12 else "append")
    return table


@pytest.fixture
def table(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "table"))


def logs(table: Path) -> list[str]:
    return sorted(file.name for file in (table / "_delta_log").iterdir())


def test_kept_versions_have_their_rows_and_others_are_gone(table: Path) -> None:
    for _ in range(2 * MANY):  # until a compaction
        append(table, 99)
    needed = {3: rows(table, 3), 14: rows(table, 14)}
    newest, before = rows(table), FolderSize.below(table)
    assert compactable(table) > MANY
    plan = vacuum(table, needed)
    assert plan.kept == {3, 14, DeltaTable(table).version()}
    assert plan.lost == set()
    assert plan.data
    assert FolderSize.below(table).size < before.size
    assert {version: rows(table, version) for version in needed} == needed
    assert rows(table) == newest
    assert len(DeltaTable(table).file_uris()) == len(TEXTS)
    with pytest.raises(FileNotFoundError):
        rows(table, 11)
    assert vacuum(table, needed).data == ()


def test_the_engine_reads_kept_versions_of_a_compacted_table(table: Path) -> None:
    for _ in range(MANY):
        append(table, 99)
    vacuum(table, {14})
    append(table, 100)
    for version in (14, DeltaTable(table).version()):
        read = open_session().read.format("delta").option("versionAsOf", str(version)).load(str(table))
        assert sorted((row.asDict() for row in read.collect()), key=str) == rows(table, version)


def test_log_entries_that_only_deleted_versions_need_are_deleted(table: Path) -> None:
    vacuum(table)
    assert logs(table)[0] == "00000000000000000019.checkpoint.parquet"
    for number in range(COMMITS + 2):
        append(table, number)
    needed = {22: rows(table, 22)}
    vacuum(table, {22})
    assert logs(table)[0] == "00000000000000000019.checkpoint.parquet"
    assert rows(table, 22) == needed[22]
    assert plan_vacuum(table, {22, 12, 5}, NOTHING, datetime.now(UTC)).lost == {12, 5}
    vacuum(table)
    assert int(logs(table)[0].split(".")[0]) > 22
    assert len(logs(table)) == 2


def test_files_whose_commits_were_cleaned_up_are_deleted_when_a_compaction_replaces_them(table: Path) -> None:
    vacuum(table)
    for number in range(MANY):
        append(table, number)
    vacuum(table)
    active = {Path(uri) for uri in DeltaTable(table).file_uris()}
    assert len(active) == len(TEXTS)
    assert set(table.rglob("text=*/*.parquet")) == active


def test_versions_within_the_retention_keep_their_files(table: Path) -> None:
    plan = vacuum(table, retain=WEEK)
    assert plan.kept == set(range(20))
    assert (plan.data, plan.log) == ((), ())
    later = datetime.now(UTC) + WEEK
    assert plan_vacuum(table, {3}, WEEK, later).kept == {3, 19}


def test_a_file_without_a_commit_is_deleted_once_no_writer_can_be_open(table: Path) -> None:
    old, young = table / "text=%C3%BC" / "old.parquet", table / "text=%C3%BC" / "young.parquet"
    for file in (old, young):
        file.write_bytes(b"of a killed or of an open writer")
    os.utime(old, (time.time() - 2 * 86400,) * 2)
    vacuum(table)
    assert (old.exists(), young.exists()) == (False, True)


def test_a_newest_version_that_lacks_files_is_refused_before_anything_is_deleted(table: Path) -> None:
    Path(DeltaTable(table).file_uris()[0]).unlink()
    before = FolderSize.below(table)
    with pytest.raises(TableDamaged, match="lacks 1 files of its newest version"):
        plan_vacuum(table, {}, NOTHING, datetime.now(UTC))
    assert FolderSize.below(table) == before


def test_a_log_without_its_beginning_is_refused(table: Path) -> None:
    vacuum(table)
    for checkpoint in (table / "_delta_log").glob("*.checkpoint.parquet"):
        checkpoint.unlink()
    with pytest.raises(TableDamaged, match="neither its first commit nor a checkpoint"):
        plan_vacuum(table, {}, NOTHING, datetime.now(UTC))


class Killed(BaseException):
    """The end of a process, at a chosen deletion."""


@pytest.fixture
def killed_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    deletions, original = [0, -1], Path.unlink

    def unlink(path: Path, *, missing_ok: bool = False) -> None:
        if missing_ok and not path.exists():
            return
        if deletions[0] == deletions[1]:
            raise Killed
        deletions[0] += 1
        original(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)

    def set_point(number: int) -> None:
        deletions[:] = [0, number]

    yield set_point


def test_a_run_that_is_killed_at_any_deletion_is_completed_by_the_next(table: Path, killed_at: Any) -> None:
    needed = {14: rows(table, 14)}
    newest = rows(table)
    vacuum(table, needed)
    for number in range(MANY):
        append(table, number)
    version, newest = DeltaTable(table).version() - 1, rows(table)
    needed = {version: rows(table, version)}
    point = 0
    while True:
        killed_at(point)
        try:
            vacuum(table, needed)
        except Killed:
            assert {each: rows(table, each) for each in needed} == needed
            assert rows(table) == newest
            assert list(commits(table))[-1].version == DeltaTable(table).version()
            point = 1  # each run deletes at least one more file
        else:
            break
    assert plan_vacuum(table, needed, NOTHING, datetime.now(UTC)).size == FolderSize()
