"""The ledger as a catalog table, on the local engine instead of Unity Catalog."""

import re
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable, Field
from deltalake.schema import PrimitiveType
from pyspark.sql import SparkSession

from deployment.ledger.catalog import SCHEMA, CatalogLedger, CatalogRefused
from deployment.ledger.entries import ADDED_LATER, Entry, Ledger, LedgerBroken, chained
from deployment.ledger.folder import SCHEMA as FOLDER_SCHEMA
from deployment.ledger.storage import PromotionBusy
from lakehouse.session import new_session
from lakehouse.tables.warehouse import quoted_name

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
FIRST = Entry(1, NOON, "me", "promoted", "term_deposit", 1, None, 1, "f" * 64, "it's better", "c" * 40, "")


@dataclass(frozen=True)
class WithAlter:
    """Sail has no ALTER TABLE: add the columns that the statement names, and register the table again."""

    inner: SparkSession
    location: Path

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def sql(self, statement: str) -> Any:
        added = re.fullmatch(r"ALTER TABLE (\S+) ADD COLUMNS \((.*)\)", statement)
        if added is None:
            return self.inner.sql(statement)
        types = {"string": "string", "boolean": "boolean", "bigint": "long"}
        columns = [column.split() for column in added[2].split(", ")]
        DeltaTable(self.location).alter.add_columns(
            [Field(name, PrimitiveType(types[data_type]), nullable=True) for name, data_type in columns]
        )
        self.inner.sql(f"DROP TABLE {added[1]}").collect()
        return self.inner.sql(f"CREATE TABLE {added[1]} USING delta LOCATION '{self.location}'")


@pytest.fixture
def home(tmp_path: Path) -> CatalogLedger:
    session = new_session()
    session.sql("CREATE SCHEMA IF NOT EXISTS deployment").collect()
    location = f"USING delta LOCATION '{tmp_path / 'ledger'}'"
    session.sql(f"CREATE TABLE deployment.ledger ({SCHEMA}) {location}").collect()
    return CatalogLedger(session, quoted_name("deployment", "ledger"))


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


def test_a_table_of_an_earlier_release_is_read_and_gets_the_new_columns(home: CatalogLedger, tmp_path: Path) -> None:
    earlier = ", ".join(column for column in SCHEMA.split(", ") if column.split()[0] not in ADDED_LATER)
    table = f"CREATE TABLE deployment.earlier ({earlier}) USING delta LOCATION '{tmp_path / 'earlier'}'"
    home.session.sql(table).collect()
    before = {name: value for name, value in asdict(FIRST).items() if name not in ADDED_LATER}
    values = [tuple((before | {"digest": FIRST.digest}).values())]
    home.session.createDataFrame(values, earlier).createOrReplaceTempView("earlier_entry")
    home.session.sql("INSERT INTO deployment.earlier SELECT * FROM earlier_entry").collect()
    session: Any = WithAlter(home.session, tmp_path / "earlier")
    ledger = Ledger(CatalogLedger(session, "deployment.earlier"))
    assert ledger.entries("term_deposit") == [FIRST]
    ledger.storage.require_writable()
    second = chained([FIRST], replace(FIRST, criteria="c" * 64, dirty=True, to_version=2))
    ledger.append(second)
    assert ledger.entries("term_deposit") == [FIRST, second]
