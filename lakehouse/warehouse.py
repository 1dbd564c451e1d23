"""Delta tables in a folder: `<root>/<schema>/<table>/_delta_log` is the whole catalogue.

Sail keeps its catalogue in memory, so the folder is what lasts: whoever opens a session registers the tables
that stand there.
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from lakehouse.errors import LakehouseError, nearest


class TableNotFound(LakehouseError):
    """The warehouse has no such table."""

    @classmethod
    def named(cls, name: str, known: list[str]) -> "TableNotFound":
        model = name.rpartition(".")[2]
        return cls(
            f"{name} is not in the warehouse. {nearest(name, known)}",
            hint=f"Build it: dbt build --select +{model}",
        )

    @classmethod
    def at_version(cls, name: str, version: int | None, reason: Exception) -> "TableNotFound":
        return cls(
            f"{name} cannot be read at version {version}: {reason}",
            hint="Name a version that is there, or none for the newest.",
        )


class WarehouseUnwritable(LakehouseError):
    """The warehouse folder takes no files."""

    @classmethod
    def at(cls, root: Path, reason: OSError) -> "WarehouseUnwritable":
        return cls(
            f"the warehouse {root} cannot be written to: {reason.strerror}",
            hint="Free space or correct its permissions, or name another folder in LAKEHOUSE_WAREHOUSE.",
        )

    @classmethod
    def by_its_name(cls, root: Path) -> "WarehouseUnwritable":
        return cls(
            f"the path of the warehouse, {str(root)!r}, holds other characters than letters, digits and _-.~+@=,",
            hint="The engine would write beside it. Name another folder in LAKEHOUSE_WAREHOUSE.",
        )


@dataclass(frozen=True, order=True)
class TableName:
    """`schema.table`, as SQL writes it."""

    schema: str
    table: str

    @classmethod
    def parse(cls, text: str) -> "TableName":
        """Split `schema.table`.

        >>> TableName.parse("gold.client_features")
        TableName(schema='gold', table='client_features')
        """
        schema, dot, table = text.partition(".")
        if not (schema and dot and table) or "." in table:
            raise LakehouseError(f"'{text}' is no table name", hint="Write it as schema.table.")
        return cls(schema, table)

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}"


@dataclass(frozen=True)
class Warehouse:
    """The folder of Delta tables at an absolute path."""

    root: Path

    def folder(self, schema: str) -> Path:
        """Where the tables of a schema stand.

        Raises:
            LakehouseError: the name would lead out of the warehouse.
        """
        return self.root / _plain(schema)

    def location(self, name: TableName) -> Path:
        """Where the table stands.

        Raises:
            LakehouseError: the name would lead out of the warehouse.
        """
        return self.folder(name.schema) / _plain(name.table)

    def tables(self, schema: str = "*") -> Iterator[TableName]:
        """Every Delta table (of one schema), ordered by name; a first write that was cut off left none."""
        for log in sorted(self.root.glob(f"{schema}/*/_delta_log")):
            if any(log.glob("*.json")):
                yield TableName(log.parent.parent.name, log.parent.name)

    def require_writable(self) -> None:
        """Make sure, before anything is built, that files can be written here.

        Raises:
            WarehouseUnwritable: they cannot: no permission, a read-only or a full disk, a path with spaces.
        """
        # Sail writes to the folder "my%20projects" for "my projects".
        if not re.fullmatch(r"[A-Za-z0-9_./~+@=,-]+", str(self.root)):
            raise WarehouseUnwritable.by_its_name(self.root)
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(dir=self.root, prefix=".probe-") as probe:
                probe.write(bytes(4096))
                probe.flush()
                os.fsync(probe.fileno())
        except OSError as err:
            raise WarehouseUnwritable.at(self.root, err) from err

    def register(self, session: SparkSession) -> None:
        """Make every table known to the session's catalogue; what it knows already stays as it is."""
        for schema in sorted({name.schema for name in self.tables()}):
            session.sql(f"CREATE DATABASE IF NOT EXISTS `{schema}`").collect()
            known = _locations(session, schema)
            for name in self.tables(schema):
                if known.get(name.table.lower()) != self.location(name):
                    self.register_table(session, name)

    def register_table(self, session: SparkSession, name: TableName) -> None:
        """Let the catalogue's entry lead to this warehouse's table, in place of any other table's entry."""
        quoted = f"`{name.schema}`.`{name.table}`"
        create = f"CREATE TABLE {quoted} USING delta LOCATION {_text(str(self.location(name)))}"
        session.sql(f"DROP TABLE IF EXISTS {quoted}").collect()  # an external table: its files stay
        configuration = self.open(name).metadata().configuration
        checks = {key: value for key, value in configuration.items() if key.startswith("delta.constraints.")}
        if checks:
            # Sail's MERGE enforces the CHECKs that its catalogue has, and not those of the log; JVM Spark reads the
            # log and refuses to be told.
            told = ", ".join(f"{_text(key)} = {_text(value)}" for key, value in checks.items())
            with suppress(PySparkException):
                session.sql(f"{create} TBLPROPERTIES ({told})").collect()
                return
        session.sql(create).collect()

    def open(self, name: TableName, version: int | None = None) -> DeltaTable:
        """The Delta log of one table, at a version or at the newest.

        Raises:
            TableNotFound: it was not built.
        """
        location = self.location(name)
        # A first write that was cut off leaves a log without a commit.
        if not any((location / "_delta_log").glob("*.json")):
            raise TableNotFound.named(str(name), [str(known) for known in self.tables()])
        try:
            return DeltaTable(location, version=version)
        except DeltaError as err:
            raise TableNotFound.at_version(str(name), version, err) from err


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _plain(name: str) -> str:
    # Sail writes other characters of a location as %20 and the like, and would make another folder.
    if name in {".", ".."} or not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        raise LakehouseError(
            f"{name!r} cannot be the name of a schema or table", hint="Use letters, digits, _, - and ."
        )
    return name


def _locations(session: SparkSession, schema: str) -> dict[str, Path]:
    """Where the catalogue's tables stand, by name; Spark keeps names in lower case."""
    rows = session.sql(f"SHOW TABLE EXTENDED IN `{schema}` LIKE '*'").collect()
    found = {
        row["tableName"].lower(): re.search(r"^Location: (?:file:(?://)?)?(/.*)$", row["information"], re.M)
        for row in rows
    }
    return {name: Path(match[1]) for name, match in found.items() if match}
