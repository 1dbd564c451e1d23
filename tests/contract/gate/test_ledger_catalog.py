"""The ledger as a catalog table, on the local engine instead of Unity Catalog."""

from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployment.ledger.catalog import SCHEMA, CatalogLedger, CatalogRefused
from deployment.ledger.entries import Entry, Ledger, LedgerBroken, PromotionBusy, chained
from deployment.ledger.folder import SCHEMA as FOLDER_SCHEMA
from lakehouse.session import new_session

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
FIRST = Entry(1, NOON, "me", "promoted", "term_deposit", 1, None, 1, "f" * 64, "it's better", "c" * 40, "")


@pytest.fixture
def home(tmp_path: Path) -> CatalogLedger:
    session = new_session()
    session.sql("CREATE SCHEMA IF NOT EXISTS deployment").collect()
    location = f"USING delta LOCATION '{tmp_path / 'ledger'}'"
    session.sql(f"CREATE TABLE deployment.ledger ({SCHEMA}) {location}").collect()
    return CatalogLedger(session, "deployment.ledger")


def test_both_homes_have_the_same_columns() -> None:
    assert [column.split()[0] for column in SCHEMA.split(", ")] == FOLDER_SCHEMA.names


def test_entries_are_read_in_order_by_use_case(home: CatalogLedger) -> None:
    ledger = Ledger(home)
    assert ledger.entries("term_deposit") == []
    written: list[Entry] = []
    for hour in range(3):
        written.append(chained(written, replace(FIRST, at=NOON + timedelta(hours=hour), to_version=hour + 1)))
        ledger.append(written[-1])
    ledger.append(replace(FIRST, use_case="churn"))
    assert ledger.entries("term_deposit") == written
    assert len(ledger.entries("churn")) == 1
    with home.lock("term_deposit"), pytest.raises(LedgerBroken):
        ledger.append(written[-1])


def test_the_second_writer_of_a_number_is_refused(home: CatalogLedger) -> None:
    Ledger(home).append(FIRST)
    other = replace(FIRST, reason="another command's")
    with pytest.raises(PromotionBusy):
        home.add(asdict(other) | {"digest": other.digest})
    assert Ledger(home).entries("term_deposit") == [FIRST]


def test_a_table_that_cannot_be_created_or_written_is_reported(home: CatalogLedger) -> None:
    with pytest.raises(CatalogRefused, match=r"the ledger nowhere\.ledger\.x cannot be written to"):
        replace(home, table="nowhere.ledger.x").require_writable()
    with pytest.raises(CatalogRefused):
        replace(home, table="deployment.other").add(asdict(FIRST) | {"digest": FIRST.digest})


def test_a_missing_table_has_no_entries(home: CatalogLedger) -> None:
    assert replace(home, table="deployment.other").rows("term_deposit") == []
