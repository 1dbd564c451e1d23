"""Ledger as a Unity Catalog table, written through the workspace session."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from deployment.ledger.storage import LedgerStorage, LedgerUnavailable, PromotionBusy
from lakehouse.errors import first_line

SCHEMA = (
    "number bigint, at timestamp, actor string, action string, use_case string, version bigint, from_version bigint,"
    " to_version bigint, verdict string, reason string, commit string, previous string, digest string,"
    " criteria string, dirty boolean, resumes bigint, rollout string"
)
_COLUMNS = {column.split()[0]: column for column in SCHEMA.split(", ")}
_CONFLICTS = ("DELTA_CONCURRENT", "ConcurrentAppend", "ConcurrentWrite")


class CatalogRefused(LedgerUnavailable):
    """The table cannot be created, written to or read."""

    @classmethod
    def at(cls, table: str, reason: Exception) -> "CatalogRefused":
        return cls(
            f"the ledger {table} cannot be written to: {first_line(reason)}",
            hint="Ask for CREATE TABLE and MODIFY on its schema, or set DATABRICKS_CATALOG to an existing catalog.",
        )

    @classmethod
    def unreadable(cls, table: str, reason: Exception) -> "CatalogRefused":
        return cls(
            f"the ledger {table} cannot be read: {first_line(reason)}",
            hint="Check the connection to the workspace, and ask for SELECT on the table.",
        )


@dataclass(frozen=True)
class CatalogLedger:
    """Ledger in the table `catalog.schema.table`."""

    session: SparkSession
    table: str

    @property
    def location(self) -> str:
        return f"the table {self.table.replace('`', '')}"

    def require_writable(self) -> None:
        try:
            self.session.sql(f"CREATE SCHEMA IF NOT EXISTS {self.table.rpartition('.')[0]}").collect()
            properties = "TBLPROPERTIES ('delta.appendOnly' = 'true')"
            self.session.sql(f"CREATE TABLE IF NOT EXISTS {self.table} ({SCHEMA}) USING delta {properties}").collect()
            # A table of an earlier release lacks columns.
            if missing := [_COLUMNS[name] for name in _COLUMNS if name not in self._written.columns]:
                self.session.sql(f"ALTER TABLE {self.table} ADD COLUMNS ({', '.join(missing)})").collect()
        except PySparkException as err:
            raise CatalogRefused.at(self.table, err) from err

    @contextmanager
    def lock(self, use_case: str) -> Iterator[None]:
        """Lock nothing: if two processes write the same entry, `add` raises in the second."""
        yield

    def rows(self, use_case: str) -> list[dict[str, Any]]:
        try:
            if not self.session.catalog.tableExists(self.table):
                return []
            written = self._written
            entries = written.where(written.use_case == use_case).orderBy("number").toArrow()
        except PySparkException as err:
            raise CatalogRefused.unreadable(self.table, err) from err
        return [{name: row.get(name) for name in _COLUMNS} for row in entries.to_pylist()]

    def add(self, row: Mapping[str, Any]) -> None:
        # A merge reads the target, so Delta detects two writers of the same number; two appends would both succeed.
        values = [tuple(row[name] for name in _COLUMNS)]
        self.session.createDataFrame(values, SCHEMA).createOrReplaceTempView("ledger_entry")
        merge = f"""
            MERGE INTO {self.table} AS ledger USING ledger_entry AS entry
            ON ledger.use_case = entry.use_case AND ledger.number = entry.number
            WHEN NOT MATCHED THEN INSERT *"""
        try:
            self.session.sql(merge).collect()
        except PySparkException as err:
            if any(word in str(err) for word in _CONFLICTS):
                raise PromotionBusy.by("it wrote the same ledger entry") from err
            raise CatalogRefused.at(self.table, err) from err
        if row["digest"] not in {written["digest"] for written in self.rows(row["use_case"])}:
            raise PromotionBusy.by("it wrote the same ledger entry")

    @property
    def _written(self) -> DataFrame:
        return self.session.table(self.table)


def _conforms(storage: CatalogLedger) -> LedgerStorage:
    return storage
