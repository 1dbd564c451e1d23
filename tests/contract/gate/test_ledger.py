"""The ledger in each of its homes: a chain that is added to, and that shows when anything else was done to it."""

import shutil
import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import get_args

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError

from deployment.ledger.entries import Action, Entry, EntryUnwritten, Ledger, LedgerBroken, PromotionBusy, following
from deployment.ledger.folder import SCHEMA, TABLE, FolderLedger
from deployment.ledger.history import History
from lakehouse.errors import LakehouseError
from lakehouse.session import open_session
from lakehouse.warehouse import Warehouse, WarehouseUnwritable

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
FIRST = Entry(
    1, NOON, "me", "promoted", "term_deposit", 1, None, 1, "f" * 64, "version 1 meets all 2 criteria", "c" * 40, ""
)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(FolderLedger(Warehouse(tmp_path)))


def folder(ledger: Ledger) -> Path:
    assert isinstance(ledger.home, FolderLedger)
    return ledger.home.warehouse.location(TABLE)


def write(ledger: Ledger, *changes: dict[str, object]) -> list[Entry]:
    """One entry after the other, each an hour later than the one before, with these changes."""
    written: list[Entry] = []
    for hour, change in enumerate(changes):
        entry = replace(FIRST, **({"at": NOON + timedelta(hours=hour)} | change))  # type: ignore[arg-type]
        entry = following(ledger.entries(entry.use_case), entry)
        ledger.append(entry)
        written.append(entry)
    return written


def test_a_ledger_that_nobody_wrote_to_is_empty_and_stays_unwritten(ledger: Ledger, tmp_path: Path) -> None:
    assert ledger.entries("term_deposit") == []
    assert list(tmp_path.iterdir()) == []


def test_a_first_entry_that_was_cut_off_leaves_an_empty_ledger(ledger: Ledger) -> None:
    (folder(ledger) / "_delta_log").mkdir(parents=True)
    assert ledger.entries("term_deposit") == []
    assert write(ledger, {}) == ledger.entries("term_deposit")


def test_entries_come_back_in_order_as_they_were_written(ledger: Ledger) -> None:
    changes: list[dict[str, object]] = [{"to_version": version} for version in range(1, 5)]
    written = write(ledger, *changes)
    assert ledger.entries("term_deposit") == written
    assert [entry.number for entry in written] == [1, 2, 3, 4]
    assert [entry.previous for entry in written] == ["", *(entry.digest for entry in written[:-1])]


def test_each_use_case_has_a_chain_of_its_own(ledger: Ledger) -> None:
    entries = write(ledger, {}, {"use_case": "churn", "to_version": 7}, {"to_version": 2})
    assert (ledger.entries("term_deposit"), ledger.entries("churn")) == ([entries[0], entries[2]], [entries[1]])
    for other in ("term", "TERM_DEPOSIT", "term%", "' or true or '", ""):
        assert ledger.entries(other) == []


@pytest.mark.parametrize(("before", "after"), [(None, None), (None, 1), (1, None), (0, 12)])
def test_a_version_that_is_not_there_is_none_and_not_0(ledger: Ledger, before: int | None, after: int | None) -> None:
    write(ledger, {"from_version": before, "to_version": after, "version": before})
    (entry,) = ledger.entries("term_deposit")
    assert (entry.version, entry.from_version, entry.to_version) == (before, before, after)


@pytest.mark.parametrize("hours", [-11, 5.5, 14])
def test_a_time_of_another_zone_is_the_same_instant_in_utc(ledger: Ledger, hours: float) -> None:
    ledger.append(replace(FIRST, at=NOON.astimezone(UTC)))
    elsewhere = replace(FIRST, at=NOON.astimezone(timezone(timedelta(hours=hours))))
    assert elsewhere.digest == FIRST.digest
    assert ledger.entries("term_deposit")[0].at.utcoffset() == timedelta(0)


def test_each_action_is_recorded_as_it_is(ledger: Ledger) -> None:
    write(ledger, *({"action": action, "verdict": ""} for action in get_args(Action)))
    assert [entry.action for entry in ledger.entries("term_deposit")] == list(get_args(Action))


def test_text_comes_back_as_it_was_written(ledger: Ledger) -> None:
    written = write(ledger, {"actor": "Zoë O'Neil", "reason": 'it\'s "ß" \\ 100 % \n; drop table ledger -- 模型'})
    assert ledger.entries("term_deposit") == written


def test_a_clock_that_goes_back_puts_no_entry_before_another(ledger: Ledger) -> None:
    first, second = write(ledger, {"at": NOON}, {"at": NOON - timedelta(days=400)})
    assert (first.at, second.at) == (NOON, NOON)


def test_an_entry_is_one_commit_that_only_adds_and_no_other_is_taken(ledger: Ledger) -> None:
    write(ledger, {})
    before = set(DeltaTable(folder(ledger)).file_uris())
    write(ledger, {"use_case": "churn"})
    table = DeltaTable(folder(ledger))
    assert table.version() == 1
    assert before < set(table.file_uris())
    assert [field.name for field in table.schema().fields] == SCHEMA.names
    with pytest.raises(DeltaError, match="append"):
        table.delete("number = 1")
    assert len(ledger.entries("term_deposit")) == 1


def test_an_entry_that_does_not_follow_the_last_is_not_taken(ledger: Ledger) -> None:
    first, second = write(ledger, {}, {"to_version": 2})
    for wrong in (first, replace(second, number=4), replace(second, number=3), replace(second, previous="")):
        with pytest.raises(LedgerBroken, match="the ledger of term_deposit is not what was written: entry"):
            ledger.append(wrong)
    assert ledger.entries("term_deposit") == [first, second]


def forged(ledger: Ledger, change: Callable[[list[dict[str, object]]], list[dict[str, object]]]) -> None:
    """Let somebody write the rows anew in a table without protection."""
    rows = change(DeltaTable(folder(ledger)).to_pyarrow_table().sort_by("number").to_pylist())
    shutil.rmtree(folder(ledger))
    write_deltalake(folder(ledger), pa.Table.from_pylist(rows, SCHEMA))


FORGERIES: dict[str, Callable[[list[dict[str, object]]], list[dict[str, object]]]] = {
    "another reason": lambda rows: [rows[0], rows[1] | {"reason": "it was better"}, rows[2]],
    "another actor": lambda rows: [rows[0] | {"actor": "nobody"}, *rows[1:]],
    "another champion": lambda rows: [*rows[:2], rows[2] | {"to_version": 9}],
    "another verdict": lambda rows: [rows[0], rows[1] | {"verdict": "0" * 64}, rows[2]],
    "an entry less in between": lambda rows: [rows[0], rows[2]],
    "no beginning": lambda rows: rows[1:],
    "two of one number": lambda rows: [*rows, rows[2]],
    "another order": lambda rows: [rows[0], rows[1] | {"number": 3}, rows[2] | {"number": 2}],
    "an entry more": lambda rows: [*rows, rows[2] | {"number": 4}],
    "an entry of no time and no hash": lambda rows: [*rows, rows[2] | {"number": 4, "at": None, "digest": None}],
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_what_was_changed_is_seen_by_whoever_reads(ledger: Ledger, forgery: str) -> None:
    write(ledger, {}, {"to_version": 2}, {"to_version": 3})
    forged(ledger, FORGERIES[forgery])
    with pytest.raises(LedgerBroken, match="is not what was written"):
        ledger.entries("term_deposit")


def test_the_engine_reads_what_was_written(ledger: Ledger) -> None:
    written = write(ledger, {}, {"to_version": 2})
    rows = open_session().read.format("delta").load(str(folder(ledger))).orderBy("number").toArrow()
    assert rows["digest"].to_pylist() == [entry.digest for entry in written]
    assert pc.all(pc.equal(rows["number"], DeltaTable(folder(ledger)).to_pyarrow_table().sort_by("number")["number"]))


def test_one_at_a_time_changes_champions_and_the_other_is_told_who(ledger: Ledger) -> None:
    with (
        ledger.home.claim("churn"),
        pytest.raises(PromotionBusy, match=r"another command is changing this champion: process \d+"),
        ledger.home.claim("churn"),
    ):
        pass
    with ledger.home.claim("churn"), ledger.home.claim("term_deposit"):
        assert ledger.entries("term_deposit") == []


def test_two_models_have_their_first_entries_at_once(ledger: Ledger) -> None:
    names, begin, failed = [f"model_{number}" for number in range(4)], threading.Barrier(4), []

    def first(name: str) -> None:
        begin.wait()
        try:
            ledger.append(replace(FIRST, use_case=name))
        except LakehouseError as err:
            failed.append(err)

    threads = [threading.Thread(target=first, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert [len(ledger.entries(name)) for name in names] == [1, 1, 1, 1]


def test_an_entry_that_the_disk_has_no_room_for_is_told_in_one_line(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("Generic LocalFileSystem error\n   \x1b[31m↳\x1b[0m No space left on device (os error 28)\n")

    monkeypatch.setattr("deployment.ledger.folder.write_deltalake", full)
    told = r"ledger of term_deposit: Generic LocalFileSystem error ↳ No space left on device \(os error 28\)\n  Free"
    with pytest.raises(EntryUnwritten, match=told):
        ledger.append(FIRST)
    assert ledger.entries("term_deposit") == []


def test_a_place_that_takes_no_files_is_told_beforehand(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WarehouseUnwritable):
        Ledger(FolderLedger(Warehouse(tmp_path / "file"))).home.require_writable()


def test_an_entry_survives_its_json() -> None:
    assert Entry.from_json(FIRST.to_json()) == FIRST
    assert asdict(Entry.from_json(FIRST.to_json()))["at"] == NOON


def history(*moves: tuple[Action, int | None]) -> History:
    """A history of moves, an hour between them; what moves nothing says so by the same version."""
    entries: list[Entry] = []
    champion: int | None = None
    for hour, (action, version) in enumerate(moves):
        after = version if action in {"promoted", "rolled_back", "repaired", "ledger_reset"} else champion
        entry = replace(
            FIRST,
            at=NOON + timedelta(hours=hour),
            action=action,
            version=version,
            from_version=champion,
            to_version=after,
        )
        entries.append(following(entries, entry))
        champion = after
    return History(entries)


@pytest.mark.parametrize(
    ("moves", "reign"),
    [
        ([], []),
        ([("promoted", 1)], [1]),
        ([("promoted", 1), ("refused", 2), ("promoted", 3)], [1, 3]),
        ([("promoted", 1), ("promoted", 2), ("rolled_back", 1)], [1]),
        ([("promoted", 1), ("promoted", 2), ("promoted", 3), ("rolled_back", 2)], [1, 2]),
        ([("promoted", 1), ("promoted", 2), ("promoted", 3), ("rolled_back", 1)], [1]),
        ([("promoted", 1), ("promoted", 2), ("rolled_back", 1), ("promoted", 3)], [1, 3]),
        ([("promoted", 1), ("promoted", 2), ("promoted", 1)], [2, 1]),
        ([("promoted", 1), ("promoted", 2), ("rolled_back", 1), ("rolled_back", 2)], [1, 2]),
        ([("promoted", 1), ("repaired", 3)], [1, 3]),
        ([("promoted", 1), ("promoted", 2), ("repaired", None), ("promoted", 4)], [4]),
    ],
)
def test_a_rollback_goes_back_to_what_was_not_rolled_back_from(
    moves: list[tuple[Action, int | None]], reign: list[int]
) -> None:
    found = history(*moves)
    assert found.reign == reign
    assert found.champion == (reign[-1] if reign else None)
    assert found.previous == (reign[-2] if len(reign) > 1 else None)


def test_history_tells_who_was_champion_when() -> None:
    found = history(("promoted", 1), ("refused", 2), ("promoted", 3), ("rolled_back", 1))
    hours = [-1.0, 0.0, 1.5, 2.0, 2.9, 3.0, 99.0]
    at = [found.at(NOON + timedelta(hours=hour)) for hour in hours]
    assert [None if entry is None else entry.to_version for entry in at] == [None, 1, 1, 3, 3, 1, 1]


def test_what_was_said_of_another_model_counts_no_more_but_for_a_freeze() -> None:
    found = history(("approved", 2), ("promoted", 1), ("frozen", None), ("ledger_reset", None), ("promoted", 2))
    assert (found.champion, found.former, found.previous) == (2, [2], None)
    assert (found.ever_approved(2), found.verdict_on(1)) == (False, None)
    assert found.frozen
    assert [entry.action for entry in found.of_this_model] == ["promoted"]
    at = found.at(NOON + timedelta(hours=3))
    assert at is not None
    assert at.to_version is None


def test_a_freeze_lasts_until_it_is_lifted_whatever_happens_between() -> None:
    assert history(("promoted", 1)).frozen == ""
    frozen = history(("frozen", None), ("promoted", 1), ("rolled_back", 1))
    assert frozen.frozen == "frozen by me at 2026-01-01 12:00:00 UTC: version 1 meets all 2 criteria"
    assert history(("frozen", None), ("unfrozen", None)).frozen == ""


def test_an_approval_is_of_one_version_and_ends_with_the_champion() -> None:
    approved = history(("promoted", 1), ("approved", 2), ("refused", 2))
    assert approved.approval(2).startswith("by me at 2026-01-01 13:00:00 UTC: ")
    assert approved.approval(3) == ""
    assert history(("approved", 2), ("promoted", 1)).approval(2) == ""
    assert history(("promoted", 1), ("approved", 2), ("promoted", 3), ("rolled_back", 1)).approval(2) == ""
