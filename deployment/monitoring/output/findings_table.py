"""The tables `monitoring.findings` and `monitoring.actions`, so that a dashboard can be built on them.

A run replaces the rows of its windows: late labels change earlier windows, and a repeated run adds nothing.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)

from deployment.monitoring.decision import action_of
from deployment.monitoring.monitored_run import MonitoredRun
from deployment.monitoring.windows import EPOCH
from lakehouse.errors import LakehouseError, first_line
from lakehouse.home import DATABRICKS, LOCAL, Home
from lakehouse.settings import Settings
from lakehouse.tables.warehouse import TableName, Warehouse, quoted_name, sql_text
from training.use_case.monitoring import ActionTable

SCHEMA_NAME = "monitoring"
ATTEMPTS, PAUSE_SECONDS = 12, 0.05  # of a write, while other runs write
_TIME = pa.timestamp("us", "UTC")
FINDINGS = pa.schema(
    [
        ("use_case", pa.string()), ("version", pa.int64()), ("window_start", _TIME), ("window_end", _TIME),
        ("window_seconds", pa.int64()), ("window_number", pa.int64()), ("kind", pa.string()),
        ("subject", pa.string()), ("slice", pa.string()), ("rows", pa.int64()), ("reference_rows", pa.int64()),
        ("value", pa.float64()), ("expected", pa.float64()), ("p_value", pa.float64()), ("psi", pa.float64()),
        ("wasserstein", pa.float64()), ("found", pa.bool_()), ("confirmed", pa.bool_()), ("action", pa.string()),
        ("sentence", pa.string()), ("computed_at", _TIME),
    ]
)  # fmt: skip
ACTIONS = pa.schema(
    [
        ("use_case", pa.string()), ("version", pa.int64()), ("action", pa.string()), ("window_start", _TIME),
        ("at", _TIME), ("reason", pa.string()), ("outcome", pa.string()),
    ]
)  # fmt: skip
ActionRow = Mapping[str, Any]
_SQL_TYPES = {
    pa.string(): "string",
    pa.int64(): "bigint",
    pa.float64(): "double",
    pa.bool_(): "boolean",
    _TIME: "timestamp",
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


class FindingsTable(Protocol):
    """Keeps findings and actions."""

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
        self._write("findings", pa.Table.from_pylist(comparison_rows(run, table), FINDINGS), _predicate(run))

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
        self._write("findings", rows, _predicate(run))

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
            types = ", ".join(f"{field.name} {_SQL_TYPES[field.type]}" for field in rows.schema)
            frame = self.session.createDataFrame(rows, types)
            if predicate is None or not self.session.catalog.tableExists(name):
                frame.write.format("delta").mode("append").saveAsTable(name)
            else:
                # The option `replaceWhere` says the same, but an engine that does not know it replaces every row.
                frame.writeTo(name).overwrite(F.expr(predicate))
        except PySparkException as err:
            raise FindingsNotWritten.at(name.replace("`", ""), err) from err


def open_findings(settings: Settings) -> FindingsTable:
    """The tables of the home that FEATURE_STORE chooses."""
    return OPEN_FINDINGS[settings.home](settings)


def comparison_rows(run: MonitoredRun, table: ActionTable) -> list[dict[str, Any]]:
    """A row for each comparison, with the columns of `FINDINGS`."""
    rows = []
    for window in run.compared:
        for each in window.comparisons:
            rows.append(
                {
                    "use_case": run.use_case,
                    "version": run.version,
                    "window_start": run.start(window.number),
                    "window_end": run.end(window.number),
                    "window_seconds": int(run.windows.length.total_seconds()),
                    "window_number": _number(run, window.number),
                    "kind": each.kind,
                    "subject": each.subject,
                    "slice": each.slice,
                    "rows": each.rows,
                    "reference_rows": each.reference_rows,
                    "value": each.value,
                    "expected": each.expected,
                    "p_value": each.p_value,
                    "psi": each.psi,
                    "wasserstein": each.wasserstein,
                    "found": each.found,
                    "confirmed": each.confirmed,
                    "action": action_of(each, table) if each.confirmed else "nothing",
                    "sentence": each.sentence(),
                    "computed_at": run.at,
                }
            )
    return rows


def _predicate(run: MonitoredRun) -> str:
    """The rows of a run's windows, as SQL."""
    # Whole numbers: engines differ in how they compare a column with the text of a time.
    start = _number(run, 0)
    return (
        f"use_case = {sql_text(run.use_case)} AND version = {run.version}"
        f" AND window_seconds = {int(run.windows.length.total_seconds())}"
        f" AND window_number >= {start} AND window_number < {start + run.windows.count}"
    )


def _number(run: MonitoredRun, window: int) -> int:
    """The number of a window since 1970."""
    return (run.start(window) - EPOCH) // run.windows.length


def _open_local(settings: Settings) -> FindingsTable:
    return FolderFindings(Warehouse(settings.warehouse))


def _open_databricks(settings: Settings) -> FindingsTable:
    from lakehouse.session import workspace_session

    return CatalogFindings(workspace_session(), settings.catalog, settings.name_prefix + SCHEMA_NAME)


OPEN_FINDINGS: Mapping[Home, Callable[[Settings], FindingsTable]] = {LOCAL: _open_local, DATABRICKS: _open_databricks}
