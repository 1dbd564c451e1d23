"""Delta tables in a folder: the catalogue is every `<root>/<schema>/<table>/_delta_log`.

Sail keeps its catalogue only in memory. After opening a session, register the tables of the folder in it.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from lakehouse.errors import LakehouseError, first_line, nearest


class TableNotFound(LakehouseError):
    """The warehouse has no such table."""

    @classmethod
    def named(cls, name: str, known: list[str]) -> "TableNotFound":
        model, suggested = name.rpartition(".")[2], nearest(name, known)
        when = "If it is not built yet" if suggested.startswith("Did") else "Build it"  # else the name may be wrong
        return cls(f"{name} is not in the warehouse. {suggested}", hint=f"{when}: dbt build --select +{model}")

    @classmethod
    def at_version(cls, name: str, version: int | None, reason: Exception) -> "TableNotFound":
        at = "" if version is None else f" at version {version}"
        return cls(
            f"{name} cannot be read{at}: {first_line(reason)}",
            hint="Choose an existing version, or none for the newest.",
        )


class TableUnreadable(TableNotFound):
    """The Delta log of a table has a type or feature that its reader does not know."""

    @classmethod
    def because(cls, name: str, reason: Exception) -> "TableUnreadable":
        # Such as: Kernel error: Schema error: Unsupported Delta table type: '...' at line 1 column 75
        cause = re.sub(r"^(?:\w+ error: )+| at line \d+ column \d+.*$", "", str(reason).partition("\n")[0])
        return cls(
            f"{name} cannot be read: delta-rs refuses its log ({cause})",
            hint=f"Write it again: dbt build --full-refresh --select {name.rpartition('.')[2]}. If it is no model of "
            "dbt, delete its folder and write it with the embedded engine.",
        )


class WarehouseUnwritable(LakehouseError):
    """The warehouse folder cannot be written to."""

    @classmethod
    def at(cls, root: Path, reason: OSError) -> "WarehouseUnwritable":
        return cls(
            f"the warehouse {root} cannot be written to: {reason.strerror}",
            hint="Free space, correct its permissions, or set LAKEHOUSE_WAREHOUSE to another folder.",
        )

    @classmethod
    def unsafe_path(cls, root: Path) -> "WarehouseUnwritable":
        return cls(
            f"the path of the warehouse, {str(root)!r}, has characters other than letters, digits, / and _-.~+@=,",
            hint="The engine would write to another folder. Set LAKEHOUSE_WAREHOUSE to a path without them.",
        )


@dataclass(frozen=True, order=True)
class TableName:
    """A table name of SQL: `schema.table`."""

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
            raise LakehouseError(f"'{text}' is not a table name", hint="Write it as schema.table.")
        return cls(schema, table)

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}"


@dataclass(frozen=True)
class Warehouse:
    """A folder of Delta tables, by absolute path."""

    root: Path

    def folder(self, schema: str) -> Path:
        """Folder of a schema.

        Raises:
            LakehouseError: the name is not plain, and may lead out of the warehouse.
        """
        return self.root / _plain(schema)

    def location(self, name: TableName) -> Path:
        """Folder of a table.

        Raises:
            LakehouseError: the name is not plain, and may lead out of the warehouse.
        """
        return self.folder(name.schema) / _plain(name.table)

    def tables(self, schema: str = "*") -> Iterator[TableName]:
        """Every Delta table (of one schema), sorted by name; an interrupted first write is not a table."""
        for log in sorted(self.root.glob(f"{schema}/*/_delta_log")):
            if any(log.glob("*.json")):
                yield TableName(log.parent.parent.name, log.parent.name)

    def require_writable(self) -> None:
        """Check before a build that the folder can be written to.

        Raises:
            WarehouseUnwritable: no permission, a read-only or full disk, or a path with spaces.
        """
        # For "my projects" Sail writes to the folder "my%20projects".
        if not re.fullmatch(r"[A-Za-z0-9_./~+@=,-]+", str(self.root)):
            raise WarehouseUnwritable.unsafe_path(self.root)
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(dir=self.root, prefix=".probe-") as probe:
                probe.write(bytes(4096))
                probe.flush()
                os.fsync(probe.fileno())
        except OSError as err:
            raise WarehouseUnwritable.at(self.root, err) from err

    def register(
        self, session: SparkSession, unreadable: Callable[[TableName, LakehouseError], None] | None = None
    ) -> None:
        """Register every table in the session's catalogue; existing entries of these tables stay.

        Args:
            unreadable: is told of a table whose log cannot be read, which stays unregistered; None raises the error.

        Raises:
            TableNotFound: the log of a table cannot be read.
        """
        for schema in sorted({name.schema for name in self.tables()}):
            session.sql(f"CREATE DATABASE IF NOT EXISTS `{schema}`").collect()
            known = _locations(session, schema)
            for name in self.tables(schema):
                if known.get(name.table.lower()) == self.location(name):
                    continue
                try:
                    self._register(session, name, replace=name.table.lower() in known)
                except TableNotFound as err:
                    if unreadable is None:
                        raise
                    unreadable(name, err)

    def register_table(self, session: SparkSession, name: TableName) -> None:
        """Point the catalogue's entry to the table of this warehouse, and replace any other entry."""
        self._register(session, name, replace=True)

    def _register(self, session: SparkSession, name: TableName, *, replace: bool) -> None:
        quoted = f"`{name.schema}`.`{name.table}`"
        create = f"CREATE TABLE {quoted} USING delta LOCATION {sql_text(str(self.location(name)))}"
        if replace:
            session.sql(f"DROP TABLE IF EXISTS {quoted}").collect()  # an external table keeps its files
        configuration = self.open(name).metadata().configuration
        checks = {key: value for key, value in configuration.items() if key.startswith("delta.constraints.")}
        if checks:
            # Sail's MERGE enforces CHECKs of its catalogue and ignores those of the log. JVM Spark reads the log, and
            # refuses them as properties.
            properties = ", ".join(f"{sql_text(key)} = {sql_text(value)}" for key, value in checks.items())
            with suppress(PySparkException):
                session.sql(f"{create} TBLPROPERTIES ({properties})").collect()
                return
        session.sql(create).collect()

    def open(self, name: TableName, version: int | None = None) -> DeltaTable:
        """The Delta log of one table, at a version or at the newest.

        Raises:
            TableNotFound: the table was not built, or lacks the version.
            TableUnreadable: its log cannot be read.
        """
        location = self.location(name)
        # An interrupted first write leaves a log without a commit.
        if not any((location / "_delta_log").glob("*.json")):
            raise TableNotFound.named(str(name), [str(known) for known in self.tables()])
        try:
            return DeltaTable(location, version=version)
        except DeltaError as err:
            if version is None:
                raise TableUnreadable.because(str(name), err) from err
            raise TableNotFound.at_version(str(name), version, err) from err


def sql_text(value: str) -> str:
    """Text as a SQL literal, as the macro of that name writes it.

    >>> print(sql_text("O'Brien's ${path}"))
    'O\\'Brien\\'s \\u0024{path}'
    """
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("${", "\\u0024{")
    return f"'{escaped}'"


def quoted_name(*parts: str) -> str:
    """A name of SQL with every part quoted, whatever characters it has.

    >>> quoted_name("my-catalog", "gold", "churn")
    '`my-catalog`.`gold`.`churn`'
    """
    escaped = (part.replace("`", "``") for part in parts)
    return ".".join(f"`{part}`" for part in escaped)


def _plain(name: str) -> str:
    # Sail percent-encodes other characters of a location, and would create another folder.
    if name in {".", ".."} or not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        raise LakehouseError(
            f"{name!r} cannot be the name of a schema or table", hint="Use letters, digits, _, - and ."
        )
    return name


def _locations(session: SparkSession, schema: str) -> dict[str, Path | None]:
    """Folders of the catalogue's entries by name, None for an entry without one; Spark keeps names in lower case."""
    rows = session.sql(f"SHOW TABLE EXTENDED IN `{schema}` LIKE '*'").collect()
    locations = {
        row["tableName"].lower(): re.search(r"^Location: (?:file:(?://)?)?(/.*)$", row["information"], re.M)
        for row in rows
    }
    return {name: Path(match[1]) if match else None for name, match in locations.items()}
