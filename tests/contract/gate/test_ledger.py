"""The ledger in a folder: an append-only chain that reveals every other change."""

import shutil
import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import cast, get_args

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError

from deployment.ledger.entries import ADDED_LATER, Action, Entry, Ledger, LedgerBroken, chained
from deployment.ledger.folder import SCHEMA, TABLE, FolderLedger, ParquetFile
from deployment.ledger.history import History
from deployment.ledger.storage import EntryNotWritten, PromotionBusy
from lakehouse.errors import LakehouseError
from lakehouse.session import open_session
from lakehouse.tables.warehouse import Warehouse, WarehouseUnwritable

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
FIRST = Entry(
    1, NOON, "me", "promoted", "term_deposit", 1, None, 1, "f" * 64, "version 1 meets all 2 criteria", "c" * 40, ""
)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(FolderLedger(Warehouse(tmp_path)))


def folder(ledger: Ledger) -> Path:
    assert isinstance(ledger.storage, FolderLedger)
    return ledger.storage.warehouse.location(TABLE)


def write(ledger: Ledger, *changes: dict[str, object]) -> list[Entry]:
    """Append entries, one hour apart, with these changes."""
    written: list[Entry] = []
    for hour, change in enumerate(changes):
        entry = replace(FIRST, **({"at": NOON + timedelta(hours=hour)} | change))  # type: ignore[arg-type]
        entry = chained(ledger.entries(entry.use_case), entry)
        ledger.append(entry)
        written.append(entry)
    return written


def test_reading_an_empty_ledger_writes_nothing(ledger: Ledger, tmp_path: Path) -> None:
    assert ledger.entries("term_deposit") == []
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_first_entry_leaves_an_empty_ledger(ledger: Ledger) -> None:
    (folder(ledger) / "_delta_log").mkdir(parents=True)
    assert ledger.entries("term_deposit") == []
    assert write(ledger, {}) == ledger.entries("term_deposit")


def test_entries_are_read_in_order_and_unchanged(ledger: Ledger) -> None:
    changes: list[dict[str, object]] = [{"to_version": version} for version in range(1, 5)]
    written = write(ledger, *changes)
    assert ledger.entries("term_deposit") == written
    assert [entry.number for entry in written] == [1, 2, 3, 4]
    assert [entry.previous for entry in written] == ["", *(entry.digest for entry in written[:-1])]


def test_a_ledger_of_an_earlier_release_is_read_verified_and_continued(ledger: Ledger) -> None:
    """The table of that release had no columns `criteria`, `dirty` and `resumes`; its hashes did not cover them."""
    # Recorded from the release; the hash of a ledger that exists may never change.
    recorded = "0dc1be9d3d51c5492fef4a01dfefd139de216cf85294731e07dd474abe60223c"
    assert FIRST.digest == recorded
    earlier = pa.schema([field for field in SCHEMA if field.name not in ADDED_LATER])
    row = {name: value for name, value in asdict(FIRST).items() if name not in ADDED_LATER} | {"digest": recorded}
    write_deltalake(folder(ledger), pa.Table.from_pylist([row], earlier), configuration={"delta.appendOnly": "true"})
    assert ledger.entries("term_deposit") == [FIRST]
    second = chained([FIRST], replace(FIRST, criteria="c" * 64, dirty=True, resumes=1, to_version=2))
    ledger.append(second)
    assert ledger.entries("term_deposit") == [FIRST, second]
    without_one = [replace(second, **{name: getattr(FIRST, name)}).digest for name in ADDED_LATER]
    assert len({second.digest, *without_one}) == 4
    assert Entry.from_json(second.to_json()) == second


def test_each_use_case_has_its_own_chain(ledger: Ledger) -> None:
    entries = write(ledger, {}, {"use_case": "churn", "to_version": 7}, {"to_version": 2})
    assert (ledger.entries("term_deposit"), ledger.entries("churn")) == ([entries[0], entries[2]], [entries[1]])
    for other in ("term", "TERM_DEPOSIT", "term%", "' or true or '", ""):
        assert ledger.entries(other) == []


@pytest.mark.parametrize(("before", "after"), [(None, None), (None, 1), (1, None), (0, 12)])
def test_a_missing_version_is_none_and_not_0(ledger: Ledger, before: int | None, after: int | None) -> None:
    write(ledger, {"from_version": before, "to_version": after, "version": before})
    (entry,) = ledger.entries("term_deposit")
    assert (entry.version, entry.from_version, entry.to_version) == (before, before, after)


@pytest.mark.parametrize("hours", [-11, 5.5, 14])
def test_times_of_other_zones_are_converted_to_utc(ledger: Ledger, hours: float) -> None:
    ledger.append(replace(FIRST, at=NOON.astimezone(UTC)))
    elsewhere = replace(FIRST, at=NOON.astimezone(timezone(timedelta(hours=hours))))
    assert elsewhere.digest == FIRST.digest
    assert ledger.entries("term_deposit")[0].at.utcoffset() == timedelta(0)


def test_every_action_can_be_recorded(ledger: Ledger) -> None:
    write(ledger, *({"action": action, "verdict": ""} for action in get_args(Action)))
    assert [entry.action for entry in ledger.entries("term_deposit")] == list(get_args(Action))


def test_special_characters_are_preserved(ledger: Ledger) -> None:
    written = write(ledger, {"actor": "Zoë O'Neil", "reason": 'it\'s "ß" \\ 100 % \n; drop table ledger -- 模型'})
    assert ledger.entries("term_deposit") == written


def test_times_do_not_decrease_if_the_clock_goes_back(ledger: Ledger) -> None:
    first, second = write(ledger, {"at": NOON}, {"at": NOON - timedelta(days=400)})
    assert (first.at, second.at) == (NOON, NOON)


def test_an_entry_is_one_append_and_deletes_are_refused(ledger: Ledger) -> None:
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


def test_each_file_is_read_once_and_again_after_somebody_overwrote_it(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, original = list[str](), ParquetFile.rows

    def recorded(file: ParquetFile, schema: pa.Schema) -> list[dict[str, object]]:
        read.append(file.path.name)
        return original(file, schema)

    monkeypatch.setattr(ParquetFile, "rows", recorded)
    write(ledger, {}, {"to_version": 2}, {"to_version": 3})
    ledger.entries("term_deposit")
    files = list(folder(ledger).glob("*.parquet"))
    assert sorted(read) == sorted(file.name for file in files)
    rows = pq.read_table(files[0]).to_pylist()
    pq.write_table(pa.Table.from_pylist([rows[0] | {"reason": "it was much better"}], SCHEMA), files[0])
    with pytest.raises(LedgerBroken, match="hashes to"):
        ledger.entries("term_deposit")
    assert read[3:] == [files[0].name]
    files[0].unlink()
    with pytest.raises(LedgerBroken, match=r"it cannot be read: .*No such file"):
        ledger.entries("term_deposit")


def test_a_ledger_in_a_folder_with_a_space_and_an_umlaut_is_read(tmp_path: Path) -> None:
    ledger = Ledger(FolderLedger(Warehouse(tmp_path / "ein Büro #1")))
    assert write(ledger, {}, {"to_version": 2}) == ledger.entries("term_deposit")


def test_an_entry_that_does_not_continue_the_chain_is_refused(ledger: Ledger) -> None:
    first, second = write(ledger, {}, {"to_version": 2})
    for wrong in (first, replace(second, number=4), replace(second, number=3), replace(second, previous="")):
        with pytest.raises(LedgerBroken, match="the ledger of term_deposit is damaged: entry"):
            ledger.append(wrong)
    assert ledger.entries("term_deposit") == [first, second]


def test_an_entry_of_an_unknown_action_stops_every_reader(ledger: Ledger) -> None:
    (first,) = write(ledger, {})
    unknown = chained([first], replace(first, action=cast(Action, "begun_anew")))
    ledger.storage.add(asdict(unknown) | {"digest": unknown.digest})
    with pytest.raises(LedgerBroken, match="entry 2 has the unknown action 'begun_anew'"):
        ledger.entries("term_deposit")


def forge(ledger: Ledger, change: Callable[[list[dict[str, object]]], list[dict[str, object]]]) -> None:
    """Rewrite the table with changed rows and without protection."""
    rows = change(DeltaTable(folder(ledger)).to_pyarrow_table().sort_by("number").to_pylist())
    shutil.rmtree(folder(ledger))
    write_deltalake(folder(ledger), pa.Table.from_pylist(rows, SCHEMA))


FORGERIES: dict[str, Callable[[list[dict[str, object]]], list[dict[str, object]]]] = {
    "another reason": lambda rows: [rows[0], rows[1] | {"reason": "it was better"}, rows[2]],
    "another actor": lambda rows: [rows[0] | {"actor": "nobody"}, *rows[1:]],
    "another champion": lambda rows: [*rows[:2], rows[2] | {"to_version": 9}],
    "another verdict": lambda rows: [rows[0], rows[1] | {"verdict": "0" * 64}, rows[2]],
    "a removed entry": lambda rows: [rows[0], rows[2]],
    "a removed first entry": lambda rows: rows[1:],
    "a duplicate number": lambda rows: [*rows, rows[2]],
    "another order": lambda rows: [rows[0], rows[1] | {"number": 3}, rows[2] | {"number": 2}],
    "an added entry": lambda rows: [*rows, rows[2] | {"number": 4}],
    "an entry without time and hash": lambda rows: [*rows, rows[2] | {"number": 4, "at": None, "digest": None}],
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_tampering_is_detected(ledger: Ledger, forgery: str) -> None:
    write(ledger, {}, {"to_version": 2}, {"to_version": 3})
    forge(ledger, FORGERIES[forgery])
    with pytest.raises(LedgerBroken, match="is damaged"):
        ledger.entries("term_deposit")


def test_the_sql_engine_can_read_the_ledger(ledger: Ledger) -> None:
    written = write(ledger, {}, {"to_version": 2})
    rows = open_session().read.format("delta").load(str(folder(ledger))).orderBy("number").toArrow()
    assert rows["digest"].to_pylist() == [entry.digest for entry in written]
    assert pc.all(pc.equal(rows["number"], DeltaTable(folder(ledger)).to_pyarrow_table().sort_by("number")["number"]))


def test_a_second_lock_is_refused_with_the_holder(ledger: Ledger) -> None:
    with (
        ledger.storage.lock("churn"),
        pytest.raises(PromotionBusy, match=r"another command is changing this champion: process \d+"),
        ledger.storage.lock("churn"),
    ):
        pass
    with ledger.storage.lock("churn"), ledger.storage.lock("term_deposit"):
        assert ledger.entries("term_deposit") == []


def test_first_entries_of_several_models_can_be_written_concurrently(ledger: Ledger) -> None:
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


def test_a_full_disk_is_reported_in_one_line(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("Generic LocalFileSystem error\n   \x1b[31m↳\x1b[0m No space left on device (os error 28)\n")

    monkeypatch.setattr("deployment.ledger.folder.write_deltalake", full)
    message = (
        r"ledger of term_deposit: Generic LocalFileSystem error ↳ No space left on device \(os error 28\)\n  Free"
    )
    with pytest.raises(EntryNotWritten, match=message):
        ledger.append(FIRST)
    assert ledger.entries("term_deposit") == []


def test_an_unwritable_folder_is_reported_before_the_first_entry(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WarehouseUnwritable):
        Ledger(FolderLedger(Warehouse(tmp_path / "file"))).storage.require_writable()


def test_an_entry_round_trips_through_json() -> None:
    assert Entry.from_json(FIRST.to_json()) == FIRST
    assert asdict(Entry.from_json(FIRST.to_json()))["at"] == NOON


def history(*moves: tuple[Action, int | None]) -> History:
    """History of actions, one hour apart; actions that keep the champion repeat its version."""
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
        entries.append(chained(entries, entry))
        champion = after
    return History(entries)


@pytest.mark.parametrize(
    ("moves", "stack"),
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
def test_a_rollback_skips_versions_that_were_rolled_back(
    moves: list[tuple[Action, int | None]], stack: list[int]
) -> None:
    recorded = history(*moves)
    assert recorded.rollback_stack == stack
    assert recorded.champion == (stack[-1] if stack else None)
    assert recorded.previous == (stack[-2] if len(stack) > 1 else None)


def test_history_shows_the_champion_at_a_time() -> None:
    recorded = history(("promoted", 1), ("refused", 2), ("promoted", 3), ("rolled_back", 1))
    hours = [-1.0, 0.0, 1.5, 2.0, 2.9, 3.0, 99.0]
    at = [recorded.change_at(NOON + timedelta(hours=hour)) for hour in hours]
    assert [None if entry is None else entry.to_version for entry in at] == [None, 1, 1, 3, 3, 1, 1]


def test_a_reset_discards_earlier_entries_except_a_freeze() -> None:
    recorded = history(("approved", 2), ("promoted", 1), ("frozen", None), ("ledger_reset", None), ("promoted", 2))
    assert (recorded.champion, recorded.all_champions, recorded.previous) == (2, [2], None)
    assert (recorded.ever_approved(2), recorded.last_verdict(1)) == (False, None)
    assert recorded.frozen
    assert [entry.action for entry in recorded.since_reset] == ["promoted"]
    at = recorded.change_at(NOON + timedelta(hours=3))
    assert at is not None
    assert at.to_version is None


def test_a_freeze_lasts_until_unfreeze() -> None:
    assert history(("promoted", 1)).frozen == ""
    frozen = history(("frozen", None), ("promoted", 1), ("rolled_back", 1))
    assert frozen.frozen == "frozen by me at 2026-01-01 12:00:00 UTC: version 1 meets all 2 criteria"
    assert history(("frozen", None), ("unfrozen", None)).frozen == ""


def test_an_approval_holds_for_one_version_until_the_champion_changes() -> None:
    approved = history(("promoted", 1), ("approved", 2), ("refused", 2))
    assert approved.approval(2).startswith("by me at 2026-01-01 13:00:00 UTC: ")
    assert approved.approval(3) == ""
    assert history(("approved", 2), ("promoted", 1)).approval(2) == ""
    assert history(("promoted", 1), ("approved", 2), ("promoted", 3), ("rolled_back", 1)).approval(2) == ""
