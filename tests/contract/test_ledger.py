"""The ledger on a real Delta table and the real engine."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Literal, get_args

import pytest
from deltalake import DeltaTable

from deployment.ledger import SCHEMA, TABLE, Entry, Ledger
from lakehouse.session import new_session, open_session
from lakehouse.warehouse import Warehouse

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
FIRST = Entry(NOON, "me", "promoted", "term_deposit", None, 1, "f" * 64, "version 1 meets all 2 criteria")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(open_session(), Warehouse(tmp_path))


def log(ledger: Ledger) -> DeltaTable:
    return DeltaTable(ledger.warehouse.location(TABLE))


def test_a_ledger_that_nobody_wrote_to_is_empty_and_stays_unwritten(ledger: Ledger) -> None:
    assert ledger.entries("term_deposit") == []
    assert list(ledger.warehouse.root.iterdir()) == []


def test_a_first_entry_that_was_cut_off_leaves_an_empty_ledger(ledger: Ledger) -> None:
    (ledger.warehouse.location(TABLE) / "_delta_log").mkdir(parents=True)
    assert ledger.entries("term_deposit") == []
    ledger.append(FIRST)
    assert ledger.entries("term_deposit") == [FIRST]


def test_entries_come_in_order_of_time_however_they_were_written(ledger: Ledger) -> None:
    written = [replace(FIRST, at=NOON + timedelta(hours=hour), to_version=hour) for hour in (3, 0, 4, 1, 2)]
    for entry in written:
        ledger.append(entry)
    assert [entry.to_version for entry in ledger.entries("term_deposit")] == [0, 1, 2, 3, 4]


def test_entries_a_microsecond_apart_keep_their_order_and_their_times(ledger: Ledger) -> None:
    entries = [replace(FIRST, at=NOON + timedelta(microseconds=i), to_version=i) for i in range(3)]
    for entry in reversed(entries):
        ledger.append(entry)
    assert ledger.entries("term_deposit") == entries


def test_entries_of_one_instant_are_all_kept(ledger: Ledger) -> None:
    for _ in range(3):
        ledger.append(FIRST)
    assert ledger.entries("term_deposit") == [FIRST] * 3


def test_each_use_case_has_its_own_entries_and_nothing_but_the_whole_name_finds_them(ledger: Ledger) -> None:
    churn = replace(FIRST, use_case="churn", to_version=7)
    for entry in (FIRST, churn):
        ledger.append(entry)
    assert (ledger.entries("term_deposit"), ledger.entries("churn")) == ([FIRST], [churn])
    for other in ("term", "TERM_DEPOSIT", "term%", "' or true or '", ""):
        assert ledger.entries(other) == []


@pytest.mark.parametrize(("before", "after"), [(None, None), (None, 1), (1, None), (0, 12)])
def test_a_version_that_is_not_there_is_none_and_not_0(ledger: Ledger, before: int | None, after: int | None) -> None:
    ledger.append(replace(FIRST, from_version=before, to_version=after))
    (entry,) = ledger.entries("term_deposit")
    assert (entry.from_version, entry.to_version) == (before, after)


@pytest.mark.parametrize("hours", [-11, 5.5, 14])
def test_a_time_of_another_zone_is_the_same_instant_in_utc(ledger: Ledger, hours: float) -> None:
    elsewhere = NOON.astimezone(timezone(timedelta(hours=hours)))
    ledger.append(replace(FIRST, at=elsewhere))
    (entry,) = ledger.entries("term_deposit")
    assert (entry.at, entry.at.utcoffset()) == (NOON, timedelta(0))


@pytest.mark.parametrize("action", get_args(Entry.__annotations__["action"]))
def test_each_action_is_recorded_as_it_is(ledger: Ledger, action: Literal["promoted", "refused", "repaired"]) -> None:
    ledger.append(replace(FIRST, action=action, verdict=""))
    assert ledger.entries("term_deposit") == [replace(FIRST, action=action, verdict="")]


def test_text_comes_back_as_it_was_written(ledger: Ledger) -> None:
    entry = replace(
        FIRST, actor="Zoë O'Neil", reason='it\'s "ß" \\ 100 % \n; drop table ledger -- 模型' + "x" * 10_000
    )
    ledger.append(entry)
    assert ledger.entries("term_deposit") == [entry]


def test_an_entry_is_one_commit_that_only_adds(ledger: Ledger) -> None:
    ledger.append(FIRST)
    before = set(log(ledger).file_uris())
    ledger.append(replace(FIRST, use_case="churn"))
    assert log(ledger).version() == 1
    assert before < set(log(ledger).file_uris())
    assert {commit["operationParameters"]["mode"] for commit in log(ledger).history(1)} == {"Append"}


def test_the_table_has_the_declared_columns_in_their_order(ledger: Ledger) -> None:
    ledger.append(FIRST)
    assert [field.name for field in log(ledger).schema().fields] == [part.split()[0] for part in SCHEMA.split(", ")]


def test_another_session_sees_what_was_written_before_and_since(ledger: Ledger) -> None:
    other = Ledger(new_session(), ledger.warehouse)
    ledger.append(FIRST)
    assert other.entries("term_deposit") == [FIRST]
    second = replace(FIRST, at=NOON + timedelta(days=1), from_version=1, to_version=2)
    ledger.append(second)
    assert other.entries("term_deposit") == [FIRST, second]
