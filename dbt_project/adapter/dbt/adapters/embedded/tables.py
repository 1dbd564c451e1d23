"""Atomic table writes: every row of a write, with its constraints enforced, or none."""

import hashlib
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dbt.adapters.embedded.constraints import require_checks, require_not_null
from dbt.adapters.embedded.delta_log import CONSTRAINT, Declaration, DeltaLog
from dbt.adapters.embedded.dialect.schema import executed_schema
from dbt.adapters.embedded.drafts import Draft
from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructField

from lakehouse.errors import LakehouseError
from lakehouse.tables.warehouse import TableName, Warehouse, sql_text

KEY = "feature_table.primary_keys"
Columns = Sequence[StructField]
_TYPE_SYNONYMS = {"byte": "tinyint", "short": "smallint", "integer": "int", "long": "bigint", "real": "float"}


class TableBlocked(LakehouseError):
    """Other files occupy the location of the table."""

    @classmethod
    def at(cls, location: Path) -> "TableBlocked":
        return cls(
            f"{location} contains files but no Delta table",
            hint="Move the files away, or delete the folder if nobody needs it, and run dbt again.",
        )


class KeyChanged(LakehouseError):
    """A write would change the key of a feature table."""

    @classmethod
    def of(cls, name: TableName, before: str, now: str) -> "KeyChanged":
        return cls(
            f"the key of the feature table {name} is {before}, but its model declares {now}: lookups by the old key "
            "would find nothing",
            hint="Create a new model for the new key. If nobody reads the table, delete its folder and build again.",
        )


class ColumnsDiffer(LakehouseError):
    """The columns of a feature table differ from those its model declares."""

    @classmethod
    def of(cls, name: TableName, differences: Sequence[str]) -> "ColumnsDiffer":
        return cls(
            f"the columns of the feature table {name} differ from their declaration: {'; '.join(differences)}",
            hint=f"Correct the columns in {name.table}.yml or in the model. An incremental model gains columns with "
            "on_schema_change: append_new_columns, or in a build with --full-refresh.",
        )


@dataclass(frozen=True)
class TableSpec:
    """Specification of a table without its rows.

    Attributes:
        not_null: columns without NULL.
        checks: named SQL conditions that hold for every row.
        properties: Delta table properties.
        partition_by: partition columns.
        declared: SQL type of each declared column of a feature table, None if only the name is declared; empty
            without declared columns.
        key: key columns of a feature table, including its timestamps.
    """

    not_null: frozenset[str]
    checks: Mapping[str, str]
    properties: Mapping[str, str]
    partition_by: tuple[str, ...]
    declared: Mapping[str, str | None] = field(default_factory=dict)
    key: tuple[str, ...] = ()

    def require_declared(self, name: TableName, columns: Sequence[StructField]) -> None:
        """Check the built columns of a feature table against its declaration, because readers rely on it.

        Raises:
            ColumnsDiffer: a column is missing, undeclared, or of another type.
        """
        built = {column.name: column.dataType.simpleString() for column in columns}
        expected = dict.fromkeys((*self.declared, *self.key))
        differences = [f"'{column}' is declared but missing" for column in expected if column not in built]
        for column, kind in built.items() if self.declared else ():
            declared = self.declared.get(column)
            if column not in self.declared:
                differences.append(f"'{column}' is built but not declared")
            elif declared is not None and _TYPE_SYNONYMS.get(declared.lower(), declared.lower()) != kind:
                differences.append(f"'{column}' is declared {declared} but built as {kind}")
        if differences:
            raise ColumnsDiffer.of(name, differences)


@dataclass(frozen=True)
class TableWriter:
    """Writer of the tables of one warehouse through one session."""

    session: SparkSession
    warehouse: Warehouse

    def write(self, rows: DataFrame, name: TableName, spec: TableSpec) -> None:
        """Replace the table with these rows in one Delta commit.

        Raises:
            TableBlocked: the location contains files but no table.
            KeyChanged: the table is a feature table with another key.
            ColumnsDiffer: the columns of a feature table differ from their declaration.
            ConstraintViolated: a row violates a constraint.
            PySparkException: the rows cannot be computed.
        """
        columns = self.require_publishable(rows, name, spec)
        existing = self._existing(self.warehouse.location(name))
        draft, entry, staged = Draft.of(self.warehouse, name), _draft_entry(name), f"rows_{_digest(name)}"
        rows.createOrReplaceTempView(staged)
        with draft.emptied():
            try:
                self._create(entry, draft.location, columns, spec)
                self.session.sql(f"INSERT INTO {entry} SELECT * FROM {staged}").collect()  # noqa: S608
                require_not_null(name, draft.location, draft.added(), spec.not_null)
                require_checks(name, self.session.table(entry), spec.checks)
            finally:
                self.session.catalog.dropTempView(staged)
                self.session.sql(f"DROP TABLE IF EXISTS {entry}").collect()
            self._publish_draft(draft, existing, columns, name, spec)
        self.warehouse.register_table(self.session, name)
        self.publish(name, spec)

    def _publish_draft(
        self, draft: Draft, existing: DeltaTable | None, columns: Columns, name: TableName, spec: TableSpec
    ) -> None:
        target, declaration = self.warehouse.location(name), Declaration(spec.not_null, spec.checks, spec.properties)
        if existing is None:
            draft.create(target, declaration)
        elif self._matches(existing, columns, spec):
            draft.replace_rows(target)
        else:
            draft.replace(target, declaration)

    def start_change(self, name: TableName) -> str:
        """Register a copy of the table without constraints, for an incremental write, and return its name."""
        draft, entry = Draft.of(self.warehouse, name), _draft_entry(name)
        self.session.sql(f"DROP TABLE IF EXISTS {entry}").collect()
        draft.copy(self.warehouse.location(name))
        self.session.sql(f"CREATE TABLE {entry} USING delta LOCATION {sql_text(str(draft.location))}").collect()
        return _draft_name(name)

    def finish_change(self, name: TableName, spec: TableSpec, *, replaces_partitions: bool = False) -> None:
        """Check what was written to the copy, and publish it as the next version of the table in one commit.

        Args:
            replaces_partitions: the new rows replace the partitions that they are in.

        Raises:
            ConstraintViolated: a written row violates a constraint.
        """
        draft, target = Draft.of(self.warehouse, name), self.warehouse.location(name)
        self.session.sql(f"DROP TABLE IF EXISTS {_draft_entry(name)}").collect()
        try:
            added = [action["add"] for action in draft.changes(target) if "add" in action]
            not_null = {field.name for field in self.warehouse.open(name).schema().fields if not field.nullable}
            require_not_null(name, draft.location, added, not_null)
            if added and spec.checks:
                with draft.written(target) as folder:
                    require_checks(name, self.session.read.format("delta").load(str(folder)), spec.checks)
            draft.apply(target, replaces_partitions=replaces_partitions)
        finally:
            draft.delete()

    def require_publishable(self, rows: DataFrame, name: TableName, spec: TableSpec) -> Columns:
        """Check, before any write, that a feature table keeps its key and matches its declaration.

        Returns:
            the columns of the rows.

        Raises:
            KeyChanged: the key differs from that of the existing table.
            ColumnsDiffer: the columns differ from their declaration.
        """
        self._require_same_key(name, spec)
        columns = executed_schema(rows).fields
        spec.require_declared(name, columns)
        return columns

    def drop(self, name: TableName) -> None:
        """Remove the table from the catalogue and its files from the folder."""
        self.session.sql(f"DROP TABLE IF EXISTS {_quoted(name)}").collect()
        location = self.warehouse.location(name)
        if location.is_dir():
            shutil.rmtree(location)

    def rename(self, old: TableName, new: TableName) -> None:
        """Move the folder of the table and register it under its new name."""
        self.session.sql(f"DROP TABLE IF EXISTS {_quoted(old)}").collect()
        self.drop(new)
        target = self.warehouse.location(new)
        target.parent.mkdir(parents=True, exist_ok=True)
        self.warehouse.location(old).rename(target)
        self.session.sql(f"CREATE DATABASE IF NOT EXISTS `{new.schema}`").collect()
        self.warehouse.register_table(self.session, new)

    def _require_same_key(self, name: TableName, spec: TableSpec) -> None:
        existing = self._existing(self.warehouse.location(name))
        before = existing.metadata().configuration.get(KEY) if existing else None
        if before is not None and spec.properties.get(KEY) not in {None, before}:
            raise KeyChanged.of(name, before, spec.properties[KEY])

    def _existing(self, location: Path) -> DeltaTable | None:
        if DeltaTable.is_deltatable(str(location)):
            return DeltaTable(location)
        if (location / "_delta_log").is_dir():
            shutil.rmtree(location)  # left by a first write that was killed before its commit
        elif location.is_dir() and any(location.iterdir()):
            raise TableBlocked.at(location)
        return None

    def _matches(self, table: DeltaTable, columns: Columns, spec: TableSpec) -> bool:
        location = table.table_uri.removeprefix("file://")
        existing = self.session.read.format("delta").load(location).schema.fields
        expected = [(f.name, f.dataType, f.name in spec.not_null) for f in columns]
        nullable = {f.name: f.nullable for f in table.schema().fields}
        return (
            expected == [(f.name, f.dataType, not nullable[f.name]) for f in existing]
            and tuple(table.metadata().partition_columns) == spec.partition_by
            and _checks(table) == _normalised(spec.checks)
        )

    def _create(self, entry: str, location: Path, columns: Columns, spec: TableSpec) -> None:
        declared = ", ".join(f"`{field.name}` {field.dataType.simpleString()}" for field in columns)
        properties = ", ".join(f"{sql_text(key)} = {sql_text(value)}" for key, value in spec.properties.items())
        partitions = ", ".join(f"`{column}`" for column in spec.partition_by)
        self.session.sql(
            f"CREATE OR REPLACE TABLE {entry} ({declared}) USING delta"
            + (f" PARTITIONED BY ({partitions})" if partitions else "")
            + f" LOCATION {sql_text(str(location))}"
            + (f" TBLPROPERTIES ({properties})" if properties else "")
        ).collect()

    def publish(self, name: TableName, spec: TableSpec) -> None:
        """Update the CHECKs and properties of the table that differ.

        Raises:
            ConstraintViolated: an existing row violates a CHECK.
        """
        table = self.warehouse.open(name)
        current, expected = table.metadata().configuration, _normalised(spec.checks)
        existing = _checks(table)
        same = {check for check, condition in existing.items() if expected.get(check) == condition}
        new = {check: condition for check, condition in spec.checks.items() if check not in same}
        kept = {key: text for key, text in current.items() if key.removeprefix(CONSTRAINT) in same | {key}}
        configuration = {**kept, **Declaration(checks=new, properties=spec.properties).configuration}
        if configuration != current:
            require_checks(name, self.session.table(_quoted(name)), new)
            DeltaLog(self.warehouse.location(name)).configure(configuration)
            self.warehouse.register_table(self.session, name)


def _checks(table: DeltaTable) -> dict[str, str]:
    checks = {key: text for key, text in table.metadata().configuration.items() if key.startswith(CONSTRAINT)}
    return _normalised({key.removeprefix(CONSTRAINT): text for key, text in checks.items()})


def _normalised(checks: Mapping[str, str]) -> dict[str, str]:
    """Conditions with normalised blanks, quotes and case: Sail stores `( id > 0 )` for `(ID>0)`."""

    def word(match: re.Match[str]) -> str:
        return match[0] if match[0].startswith("'") else match[0].strip("` \n\t").lower()

    return {check: re.sub(r"'[^']*'|[\s`]+|\w+", word, condition) for check, condition in checks.items()}


def _digest(name: TableName) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()[:16]


def _draft_name(name: TableName) -> str:
    return f"draft_{_digest(name)}"


def _draft_entry(name: TableName) -> str:
    return f"`{name.schema}`.`{_draft_name(name)}`"


def _quoted(name: TableName) -> str:
    return f"`{name.schema}`.`{name.table}`"
