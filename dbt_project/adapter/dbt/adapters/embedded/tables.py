"""Writing a table: every row of it, under its constraints, or as it was before."""

import hashlib
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dbt.adapters.embedded.drafts import Draft
from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructField

from lakehouse.errors import LakehouseError
from lakehouse.warehouse import TableName, Warehouse

_CHECK = "delta.constraints."
KEY = "feature_table.primary_keys"
_TYPES = {"byte": "tinyint", "short": "smallint", "integer": "int", "long": "bigint", "real": "float"}  # other names


class TableBlocked(LakehouseError):
    """Something else stands where the table would be."""

    @classmethod
    def at(cls, location: Path) -> "TableBlocked":
        return cls(
            f"{location} holds files and no Delta table",
            hint="Move them away, or delete the folder if nobody needs it, and run dbt again.",
        )


class KeyChanged(LakehouseError):
    """A feature table would get another key."""

    @classmethod
    def of(cls, name: TableName, before: str, now: str) -> "KeyChanged":
        return cls(
            f"the key of the feature table {name} is {before}, and its model declares {now}: whoever looks it up by "
            "the one would find nothing by the other",
            hint="Give the new key a model of its own; or, if nobody reads the table, delete its folder and build.",
        )


class ColumnsDiffer(LakehouseError):
    """A feature table would have other columns than its model declares."""

    @classmethod
    def of(cls, name: TableName, differences: Sequence[str]) -> "ColumnsDiffer":
        return cls(
            f"the feature table {name} is declared otherwise than it is built: {'; '.join(differences)}",
            hint=f"Correct the columns in {name.table}.yml, or the model. An incremental model takes new ones by "
            "on_schema_change: append_new_columns, or in a build with --full-refresh.",
        )


@dataclass(frozen=True)
class TableSpec:
    """What a table is beside its rows.

    Attributes:
        not_null: columns that must have a value.
        checks: SQL conditions by name that every row must meet.
        properties: Delta table properties.
        partition_by: columns.
        declared: the SQL type of each column of a feature table, or None where only its name is declared; empty where
            nothing is.
        key: the columns by which a feature table is looked up, its times included.
    """

    not_null: frozenset[str]
    checks: Mapping[str, str]
    properties: Mapping[str, str]
    partition_by: tuple[str, ...]
    declared: Mapping[str, str | None] = field(default_factory=dict)
    key: tuple[str, ...] = ()

    def require_declared(self, name: TableName, columns: Sequence[StructField]) -> None:
        """Make sure that a feature table is built as it is declared: readers go by the declaration.

        Raises:
            ColumnsDiffer: a column is missing, is not declared, or has another type.
        """
        built = {column.name: column.dataType.simpleString() for column in columns}
        expected = dict.fromkeys((*self.declared, *self.key))
        differences = [f"'{column}' is declared and missing" for column in expected if column not in built]
        for column, kind in built.items() if self.declared else ():
            said = self.declared.get(column)
            if column not in self.declared:
                differences.append(f"'{column}' is built and not declared")
            elif said is not None and _TYPES.get(said.lower(), said.lower()) != kind:
                differences.append(f"'{column}' is declared {said} and built as {kind}")
        if differences:
            raise ColumnsDiffer.of(name, differences)


@dataclass(frozen=True)
class TableWriter:
    """Writes tables of one warehouse through one session."""

    session: SparkSession
    warehouse: Warehouse

    def write(self, rows: DataFrame, name: TableName, spec: TableSpec) -> None:
        """Replace the table by these rows, in one Delta commit.

        A table that is not there yet, or has other columns, partitions or CHECKs, is built as a draft first.

        Raises:
            TableBlocked: the location holds something that is no table.
            KeyChanged: the table is a feature table of another key.
            ColumnsDiffer: the table is a feature table, and declared otherwise.
            PySparkException: a row breaks a constraint, or the rows cannot be computed.
        """
        self.require_publishable(rows, name, spec)
        staged = f"rows_{_digest(name)}"
        rows.createOrReplaceTempView(staged)
        try:
            there = self._existing(self.warehouse.location(name))
            if there is not None and self._fits(there, rows, spec):
                self._insert("OVERWRITE TABLE", _quoted(name), staged)
            else:
                self._build(rows, staged, name, spec, replaces=there is not None)
        finally:
            self.session.catalog.dropTempView(staged)
        self.publish(name, spec)

    def require_publishable(self, rows: DataFrame, name: TableName, spec: TableSpec) -> None:
        """Make sure, before anything is written, that a feature table keeps its key and is what its model declares.

        Raises:
            KeyChanged, ColumnsDiffer: it does not, or is not.
        """
        self._require_same_key(name, spec)
        spec.require_declared(name, rows.schema.fields)

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

    def _require_same_key(self, name: TableName, spec: TableSpec) -> None:
        there = self._existing(self.warehouse.location(name))
        before = there.metadata().configuration.get(KEY) if there else None
        if before is not None and spec.properties.get(KEY) not in {None, before}:
            raise KeyChanged.of(name, before, spec.properties[KEY])

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
            and _checks(table) == _said_alike(spec.checks)
        )

    def _build(self, rows: DataFrame, staged: str, name: TableName, spec: TableSpec, *, replaces: bool) -> None:
        target = self.warehouse.location(name)
        entry = f"`{name.schema}`.`draft_{_digest(name)}`"
        with Draft.of(self.warehouse, name) as draft:
            try:
                self._create(entry, draft.location, rows, spec)
                self._insert("INTO", entry, staged)
                self._check(entry, spec.checks)
            finally:
                self.session.sql(f"DROP TABLE IF EXISTS {entry}").collect()
            if replaces:
                draft.replace(target)
            else:
                draft.become(target)
        self.warehouse.register_table(self.session, name)

    def _create(self, entry: str, location: Path, rows: DataFrame, spec: TableSpec) -> None:
        columns = ", ".join(_column(field, spec.not_null) for field in rows.schema.fields)
        properties = ", ".join(f"{_text(key)} = {_text(value)}" for key, value in spec.properties.items())
        partitions = ", ".join(f"`{column}`" for column in spec.partition_by)
        self.session.sql(
            f"CREATE OR REPLACE TABLE {entry} ({columns}) USING delta"
            + (f" PARTITIONED BY ({partitions})" if partitions else "")
            + f" LOCATION {_text(str(location))}"
            + (f" TBLPROPERTIES ({properties})" if properties else "")
        ).collect()

    def _insert(self, into: str, entry: str, staged: str) -> None:
        self.session.sql(f"INSERT {into} {entry} SELECT * FROM {staged}").collect()  # noqa: S608

    def _check(self, entry: str, checks: Mapping[str, str]) -> None:
        for check, condition in checks.items():
            self.session.sql(f"ALTER TABLE {entry} ADD CONSTRAINT {check} CHECK ({condition})").collect()

    def publish(self, name: TableName, spec: TableSpec) -> None:
        """Bring the table's CHECKs and properties up to date where they differ.

        Raises:
            PySparkException: a row that is there breaks a CHECK.
        """
        table = self.warehouse.open(name)
        there, wanted = _checks(table), _said_alike(spec.checks)
        if there != wanted:
            for check in there.keys() - dict(there.items() & wanted.items()):
                table.alter.drop_constraint(check)
            missing = dict(wanted.items() - there.items())
            self._check(_quoted(name), {check: spec.checks[check] for check in missing})
            self.warehouse.register_table(self.session, name)
        self._set(name, spec.properties)

    def _set(self, name: TableName, properties: Mapping[str, str]) -> None:
        table = self.warehouse.open(name)
        there = table.metadata().configuration
        changed = {key: value for key, value in properties.items() if there.get(key) != value}
        if changed:
            table.alter.set_table_properties(changed, raise_if_not_exists=False)


def _checks(table: DeltaTable) -> dict[str, str]:
    properties = table.metadata().configuration
    return _said_alike({key.removeprefix(_CHECK): text for key, text in properties.items() if key.startswith(_CHECK)})


def _said_alike(checks: Mapping[str, str]) -> dict[str, str]:
    """The conditions as an engine may have written them down: Sail sets `( id > 0 )` for `(ID>0)`."""

    def word(match: re.Match[str]) -> str:
        return match[0] if match[0].startswith("'") else match[0].strip("` \n\t").lower()

    return {check: re.sub(r"'[^']*'|[\s`]+|\w+", word, condition) for check, condition in checks.items()}


def _column(field: StructField, not_null: frozenset[str]) -> str:
    return f"`{field.name}` {field.dataType.simpleString()}" + (" NOT NULL" if field.name in not_null else "")


def _digest(name: TableName) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()[:16]


def _quoted(name: TableName) -> str:
    return f"`{name.schema}`.`{name.table}`"


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
