"""The ledger as a table of a catalogue: of Unity Catalog managed, on the engine at hand at a place of the test."""

from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployment.ledger.catalog import SCHEMA, CatalogLedger, CatalogRefused
from deployment.ledger.entries import Entry, Ledger, LedgerBroken, PromotionBusy, following
from deployment.ledger.folder import SCHEMA as FOLDER_SCHEMA
from lakehouse.session import new_session

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
FIRST = Entry(1, NOON, "me", "promoted", "term_deposit", 1, None, 1, "f" * 64, "it's better", "c" * 40, "")


@pytest.fixture
def home(tmp_path: Path) -> CatalogLedger:
    session = new_session()
    session.sql("CREATE SCHEMA IF NOT EXISTS deployment").collect()
    place = f"USING delta LOCATION '{tmp_path / 'ledger'}'"
    session.sql(f"CREATE TABLE deployment.ledger ({SCHEMA}) {place}").collect()
    return CatalogLedger(session, "deployment.ledger")


def test_both_homes_have_the_same_columns() -> None:
    assert [column.split()[0] for column in SCHEMA.split(", ")] == FOLDER_SCHEMA.names


def test_entries_come_back_in_order_by_use_case(home: CatalogLedger) -> None:
    ledger = Ledger(home)
    assert ledger.entries("term_deposit") == []
    written: list[Entry] = []
    for hour in range(3):
        written.append(following(written, replace(FIRST, at=NOON + timedelta(hours=hour), to_version=hour + 1)))
        ledger.append(written[-1])
    ledger.append(replace(FIRST, use_case="churn"))
    assert ledger.entries("term_deposit") == written
    assert len(ledger.entries("churn")) == 1
    with home.claim("term_deposit"), pytest.raises(LedgerBroken):
        ledger.append(written[-1])


def test_of_two_that_write_the_same_number_the_second_is_told(home: CatalogLedger) -> None:
    Ledger(home).append(FIRST)
    other = replace(FIRST, reason="another command's")
    with pytest.raises(PromotionBusy):
        home.add(asdict(other) | {"digest": other.digest})
    assert Ledger(home).entries("term_deposit") == [FIRST]


def test_what_cannot_be_made_is_told_beforehand(home: CatalogLedger) -> None:
    with pytest.raises(CatalogRefused, match=r"the ledger nowhere\.ledger\.x cannot be written to"):
        replace(home, table="nowhere.ledger.x").require_writable()
    with pytest.raises(CatalogRefused):
        replace(home, table="deployment.other").add(asdict(FIRST) | {"digest": FIRST.digest})


def test_a_table_that_is_not_there_has_no_entries(home: CatalogLedger) -> None:
    assert replace(home, table="deployment.other").rows("term_deposit") == []
