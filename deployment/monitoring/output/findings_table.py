"""The tables `monitoring.findings` and `monitoring.actions`, so that a dashboard can be built on them.

A run replaces the rows of its windows: late labels change earlier windows, and a repeated run adds nothing.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)

from deployment.monitoring.monitored_run import MonitoredRun
from deployment.monitoring.output.comparison_rows import FINDINGS, TIME, comparison_rows, rows_of_windows
from lakehouse.errors import LakehouseError, first_line
from lakehouse.home import DATABRICKS, LOCAL, Home
from lakehouse.settings import Settings
from lakehouse.tables.warehouse import TableName, Warehouse, quoted_name
from lakehouse.tables.writer_lock import WarehouseBusy, WriterLock
from training.use_case.monitoring import ActionTable

SCHEMA_NAME = "monitoring"
LOCKS = ".locks"  # folder next to the tables
CLAIM_KEY = ("use_case", "version", "action", "window_start", "outcome")  # one start of an action for a window
CONFLICTS = ("DELTA_CONCURRENT", "ConcurrentAppend", "ConcurrentWrite")
ATTEMPTS, PAUSE_SECONDS = 12, 0.05  # of a write, while other runs write
ACTIONS = pa.schema(
    [
        ("use_case", pa.string()), ("version", pa.int64()), ("action", pa.string()), ("window_start", TIME),
        ("at", TIME), ("reason", pa.string()), ("outcome", pa.string()),
    ]
)  # fmt: skip
ActionRow = Mapping[str, Any]
_SQL_TYPES = {
    pa.string(): "string",
    pa.int64(): "bigint",
    pa.float64(): "double",
    pa.bool_(): "boolean",
    TIME: "timestamp",
}


class FindingsNotWritten(LakehouseError):
    """The table of findings or of actions cannot be written or read."""

    @classmethod
    def at(cls, table: str, reason: Exception) -> "FindingsNotWritten":
        return cls(
            f"{table} cannot be written: {first_line(reason)}",
            hint="Free space or correct its permissions, then run the command again: it replaces its own rows.",
        )

    @classmethod
    def unread(cls, table: str, reason: Exception) -> "FindingsNotWritten":
        return cls(
            f"{table} cannot be read, so the actions that were taken are not known: {first_line(reason)}",
            hint="Correct its permissions (SELECT), then run the command again.",
        )


class FollowUpBusy(LakehouseError):
    """Another run follows up the findings of the same use case."""

    @classmethod
    def by(cls, use_case: str, holder: str) -> "FollowUpBusy":
        return cls(
            f"the findings of {use_case} are being followed up by {holder}",
            hint="This run alerted nobody and took no action. Wait until the other one ends, then run it again.",
        )


class FindingsTable(Protocol):
    """Keeps findings and actions."""

    def lock(self, use_case: str) -> AbstractContextManager[bool]:
        """Lock for alerts and actions of a use case; True if it shows that no other run is in the middle of one.

        Raises:
            FollowUpBusy: another run holds it.
        """
        ...

    def claim(self, row: ActionRow) -> bool:
        """Add the start of an action, unless another run has added the same one; False then."""
        ...

    def replace(self, run: MonitoredRun, table: ActionTable) -> None:
        """Write every comparison of a run, in place of earlier rows of the same windows."""
        ...

    def actions(self, use_case: str, version: int) -> list[ActionRow]:
        """Actions that were taken for a version."""
        ...

    def record(self, row: ActionRow) -> None:
        """Add an action."""
        ...


@dataclass(frozen=True)
class FolderFindings:
    """The tables in a warehouse folder."""

    warehouse: Warehouse

    def replace(self, run: MonitoredRun, table: ActionTable) -> None:
        self.warehouse.require_writable()
        self._write("findings", pa.Table.from_pylist(comparison_rows(run, table), FINDINGS), rows_of_windows(run))

    @contextmanager
    def lock(self, use_case: str) -> Iterator[bool]:
        folder = self.warehouse.folder(SCHEMA_NAME) / LOCKS / use_case
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock = WriterLock.on(folder)
        except WarehouseBusy as err:
            raise FollowUpBusy.by(use_case, err.failed.rpartition(" by ")[2]) from err
        try:
            yield True  # the system releases the lock of a process that ends
        finally:
            lock.release()

    def claim(self, row: ActionRow) -> bool:
        self.record(row)
        return True

    def actions(self, use_case: str, version: int) -> list[ActionRow]:
        location = self.warehouse.location(TableName(SCHEMA_NAME, "actions"))
        filters = [("use_case", "=", use_case), ("version", "=", version)]
        try:
            if not DeltaTable.is_deltatable(str(location)):
                return []
            found: list[ActionRow] = DeltaTable(location).to_pyarrow_table(filters=filters).to_pylist()
        except (DeltaError, OSError) as err:
            raise FindingsNotWritten.unread(f"{SCHEMA_NAME}.actions", err) from err
        return found

    def record(self, row: ActionRow) -> None:
        self._write("actions", pa.Table.from_pylist([dict(row)], ACTIONS), None)

    def _write(self, table: str, rows: pa.Table, predicate: str | None) -> None:
        """Append, or replace what the predicate names; again if another run committed in between."""
        location = str(self.warehouse.location(TableName(SCHEMA_NAME, table)))
        for attempt in range(1, ATTEMPTS + 1):
            try:
                if predicate is None or not DeltaTable.is_deltatable(location):
                    DeltaTable.create(location, rows.schema, mode="ignore")
                if predicate is None:
                    write_deltalake(location, rows, mode="append")
                else:
                    write_deltalake(location, rows, mode="overwrite", predicate=predicate)
            except (DeltaError, OSError) as err:
                if attempt == ATTEMPTS:
                    raise FindingsNotWritten.at(f"{SCHEMA_NAME}.{table}", err) from err
                time.sleep(attempt * PAUSE_SECONDS)
            else:
                return


@dataclass(frozen=True)
class CatalogFindings:
    """The tables in a schema of Unity Catalog, written through the workspace session."""

    session: SparkSession
    catalog: str
    schema: str

    def replace(self, run: MonitoredRun, table: ActionTable) -> None:
        rows = pa.Table.from_pylist(comparison_rows(run, table), FINDINGS)
        self._write("findings", rows, rows_of_windows(run))

    @contextmanager
    def lock(self, use_case: str) -> Iterator[bool]:
        """Lock nothing: of two runs, the second finds the action claimed."""
        yield False

    def claim(self, row: ActionRow) -> bool:
        name = self._name("actions")
        self._write("actions", pa.Table.from_pylist([], ACTIONS), None)  # creates it
        rows = self.session.createDataFrame(pa.Table.from_pylist([dict(row)], ACTIONS), _types(ACTIONS))
        rows.createOrReplaceTempView("claimed_action")
        same = " AND ".join(f"actions.{key} = claim.{key}" for key in CLAIM_KEY)
        # A merge reads the target, so Delta detects two writers of the same row; two appends would both succeed.
        merge = f"MERGE INTO {name} AS actions USING claimed_action AS claim ON {same} WHEN NOT MATCHED THEN INSERT *"
        try:
            self.session.sql(merge).collect()
        except PySparkException as err:
            if any(word in str(err) for word in CONFLICTS):
                return False
            raise FindingsNotWritten.at(name.replace("`", ""), err) from err
        mine = [each for each in self.actions(row["use_case"], row["version"]) if each["at"] == row["at"]]
        return any(each["outcome"] == row["outcome"] for each in mine)

    def actions(self, use_case: str, version: int) -> list[ActionRow]:
        name = self._name("actions")
        try:
            if not self.session.catalog.tableExists(name):
                return []
            rows = self.session.table(name)
            chosen = rows.where((rows.use_case == use_case) & (rows.version == version))
            # By Arrow: `collect` gives times of the machine's zone, without the zone.
            found: list[ActionRow] = chosen.select(*ACTIONS.names).toArrow().cast(ACTIONS).to_pylist()
        except PySparkException as err:
            raise FindingsNotWritten.unread(name.replace("`", ""), err) from err
        return found

    def record(self, row: ActionRow) -> None:
        self._write("actions", pa.Table.from_pylist([dict(row)], ACTIONS), None)

    def _name(self, table: str) -> str:
        return quoted_name(self.catalog, self.schema, table)

    def _write(self, table: str, rows: pa.Table, predicate: str | None) -> None:
        name = self._name(table)
        try:
            self.session.sql(f"CREATE SCHEMA IF NOT EXISTS {quoted_name(self.catalog, self.schema)}").collect()
            # With its types: those of an empty table cannot be inferred.
            frame = self.session.createDataFrame(rows, _types(rows.schema))
            if predicate is None or not self.session.catalog.tableExists(name):
                frame.write.format("delta").mode("append").saveAsTable(name)
            else:
                # The option `replaceWhere` says the same, but an engine that does not know it replaces every row.
                frame.writeTo(name).overwrite(F.expr(predicate))
        except PySparkException as err:
            raise FindingsNotWritten.at(name.replace("`", ""), err) from err


def _types(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {_SQL_TYPES[field.type]}" for field in schema)


def open_findings(settings: Settings) -> FindingsTable:
    """The tables of the home that FEATURE_STORE chooses."""
    return OPEN_FINDINGS[settings.home](settings)


def _open_local(settings: Settings) -> FindingsTable:
    return FolderFindings(Warehouse(settings.warehouse))


def _open_databricks(settings: Settings) -> FindingsTable:
    from lakehouse.session import workspace_session

    return CatalogFindings(workspace_session(), settings.catalog, settings.name_prefix + SCHEMA_NAME)


OPEN_FINDINGS: Mapping[Home, Callable[[Settings], FindingsTable]] = {LOCAL: _open_local, DATABRICKS: _open_databricks}
