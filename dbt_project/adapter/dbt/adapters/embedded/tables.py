"""Writing a table: every row of it, under its constraints, or as it was before."""

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructField

from lakehouse.errors import LakehouseError
from lakehouse.warehouse import TableName, Warehouse

_CHECK = "delta.constraints."


class TableBlocked(LakehouseError):
    """Something else stands where the table would be."""

    @classmethod
    def at(cls, location: Path) -> "TableBlocked":
        return cls(
            f"{location} holds files and no Delta table",
            hint="Move them away, or delete the folder if nobody needs it, and run dbt again.",
        )


@dataclass(frozen=True)
class TableSpec:
    """What a table is beside its rows.

    Attributes:
        not_null: columns that must have a value.
        checks: SQL conditions by name that every row must meet.
        properties: Delta table properties.
        partition_by: columns.
    """

    not_null: frozenset[str]
    checks: Mapping[str, str]
    properties: Mapping[str, str]
    partition_by: tuple[str, ...]


@dataclass(frozen=True)
class TableWriter:
    """Writes tables of one warehouse through one session."""

    session: SparkSession
    warehouse: Warehouse

    def write(self, rows: DataFrame, name: TableName, spec: TableSpec) -> None:
        """Replace the table by these rows.

        With the same columns it is one Delta commit. With others, or at first, the table is made and then filled,
        and a failure in between restores the version that was there.

        Raises:
            TableBlocked: the location holds something that is no table.
            PySparkException: a row breaks a constraint, or the rows cannot be computed.
        """
        location = self.warehouse.location(name)
        staged = f"rows_{hashlib.sha256(str(name).encode()).hexdigest()[:16]}"
        rows.createOrReplaceTempView(staged)
        before = self._existing(location)
        try:
            if before is not None and self._fits(before, rows, spec):
                self._overwrite(name, staged, spec)
            else:
                self._create(rows, name, spec)
                self._fill(name, staged, "INTO", spec)
        except BaseException:
            self._undo(name, before)
            raise
        finally:
            self.session.catalog.dropTempView(staged)

    def drop(self, name: TableName) -> None:
        """Remove the table from the catalogue and its files from the folder."""
        self.session.sql(f"DROP TABLE IF EXISTS {_quoted(name)}").collect()
        location = self.warehouse.location(name)
        if location.is_dir():
            shutil.rmtree(location)

    def rename(self, old: TableName, new: TableName) -> None:
        """Move the table's folder; the catalogue follows."""
        self.session.sql(f"DROP TABLE IF EXISTS {_quoted(old)}").collect()
        self.drop(new)
        target = self.warehouse.location(new)
        target.parent.mkdir(parents=True, exist_ok=True)
        self.warehouse.location(old).rename(target)
        self.session.sql(f"CREATE DATABASE IF NOT EXISTS `{new.schema}`").collect()
        self.warehouse.register_table(self.session, new)

    def _existing(self, location: Path) -> DeltaTable | None:
        if DeltaTable.is_deltatable(str(location)):
            return DeltaTable(location)
        if (location / "_delta_log").is_dir():
            shutil.rmtree(location)  # a first write that was cut off before its first commit
        elif location.is_dir() and any(location.iterdir()):
            raise TableBlocked.at(location)
        return None

    def _fits(self, table: DeltaTable, rows: DataFrame, spec: TableSpec) -> bool:
        location = table.table_uri.removeprefix("file://")
        there = self.session.read.format("delta").load(location).schema.fields
        wanted = [(f.name, f.dataType, f.name in spec.not_null) for f in rows.schema.fields]
        nullable = {f.name: f.nullable for f in table.schema().fields}
        return (
            wanted == [(f.name, f.dataType, not nullable[f.name]) for f in there]
            and tuple(table.metadata().partition_columns) == spec.partition_by
        )

    def _create(self, rows: DataFrame, name: TableName, spec: TableSpec) -> None:
        columns = ", ".join(_column(field, spec.not_null) for field in rows.schema.fields)
        properties = ", ".join(f"{_text(key)} = {_text(value)}" for key, value in spec.properties.items())
        partitions = ", ".join(f"`{column}`" for column in spec.partition_by)
        self.session.sql(
            f"CREATE OR REPLACE TABLE {_quoted(name)} ({columns}) USING delta"
            + (f" PARTITIONED BY ({partitions})" if partitions else "")
            + f" LOCATION {_text(str(self.warehouse.location(name)))}"
            + (f" TBLPROPERTIES ({properties})" if properties else "")
        ).collect()

    def _overwrite(self, name: TableName, staged: str, spec: TableSpec) -> None:
        table = self.warehouse.open(name)
        there = table.metadata().configuration
        old = {key.removeprefix(_CHECK): value for key, value in there.items() if key.startswith(_CHECK)}
        outdated = [check for check, condition in old.items() if spec.checks.get(check) != condition]
        for check in outdated:
            table.alter.drop_constraint(check)
        if outdated:
            self.warehouse.register_table(self.session, name)
        self._fill(name, staged, "OVERWRITE TABLE", spec)
        self.publish(name, spec.properties)

    def _fill(self, name: TableName, staged: str, into: str, spec: TableSpec) -> None:
        self.session.sql(f"INSERT {into} {_quoted(name)} SELECT * FROM {staged}").collect()  # noqa: S608
        there = self.warehouse.open(name).metadata().configuration
        for check, condition in spec.checks.items():
            if f"{_CHECK}{check}" not in there:
                self.session.sql(f"ALTER TABLE {_quoted(name)} ADD CONSTRAINT {check} CHECK ({condition})").collect()

    def publish(self, name: TableName, properties: Mapping[str, str]) -> None:
        """Bring the table's properties up to date, in one commit, if any of them differs."""
        table = self.warehouse.open(name)
        there = table.metadata().configuration
        changed = {key: value for key, value in properties.items() if there.get(key) != value}
        if changed:
            table.alter.set_table_properties(changed, raise_if_not_exists=False)

    def _undo(self, name: TableName, before: DeltaTable | None) -> None:
        if before is None:
            self.drop(name)
            return
        now = self.warehouse.open(name)
        if now.version() > before.version():
            now.restore(before.version())
            self.warehouse.register_table(self.session, name)


def _column(field: StructField, not_null: frozenset[str]) -> str:
    return f"`{field.name}` {field.dataType.simpleString()}" + (" NOT NULL" if field.name in not_null else "")


def _quoted(name: TableName) -> str:
    return f"`{name.schema}`.`{name.table}`"


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
