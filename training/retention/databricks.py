"""Maintenance of the tables in Unity Catalog: OPTIMIZE and VACUUM through Spark SQL, inside a workspace.

VACUUM there keeps the files of a time, not of a version, so the time reaches back to the oldest needed version. Two
table properties carry it too: predictive optimization vacuums by the first, and a clean-up of the log by the second.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any

from lakehouse.session import workspace_session
from lakehouse.settings import Settings
from lakehouse.tables.vacuum import FolderSize
from training.feature_store.databricks import NotInWorkspace
from training.feature_store.unity_catalog import UnityCatalog
from training.retention.maintained import MaintainedTable, TableMaintenance

SCHEMAS = ("gold", "staging")  # of `dbt build`; the catalogue may hold tables of others
FILES, LOG = "delta.deletedFileRetentionDuration", "delta.logRetentionDuration"
LEAST = timedelta(days=7)  # below it, Databricks asks to switch a safety check off
LEAST_LOG = timedelta(days=30)  # the default of Delta
STEP = timedelta(days=30)  # the time grows in these steps, so that it changes once a month, not every night


def connect(settings: Settings) -> "DatabricksMaintenance":
    """Open the maintenance of the workspace in which this process runs.

    Raises:
        NotInWorkspace: the process runs outside a workspace.
    """
    if not settings.in_workspace:
        raise NotInWorkspace.outside()
    return DatabricksMaintenance(UnityCatalog(workspace_session(), settings.catalog, settings.name_prefix))


def retention(oldest: datetime | None, retain: timedelta, now: datetime) -> timedelta:
    """Time for which removed files are kept: `retain`, or whole steps that cover the oldest needed version.

    One step is added where less than a day is left, so that the property covers the time until the next run.

    >>> day = datetime(2025, 6, 1, tzinfo=UTC)
    >>> retention(None, timedelta(days=7), day).days
    7
    >>> retention(day - timedelta(days=29.5), timedelta(days=7), day).days
    60
    """
    if oldest is None:
        return retain
    return max(retain, ceil((now - oldest + timedelta(days=1)) / STEP) * STEP)


@dataclass(frozen=True)
class DatabricksMaintenance:
    """Maintenance of the tables of `dbt build` in one catalogue."""

    catalog: UnityCatalog
    least_retention = LEAST

    @contextmanager
    def exclusive(self, *, dry_run: bool) -> Iterator[None]:
        """Nothing to hold: Delta on Databricks resolves concurrent writers by itself."""
        del dry_run
        yield

    def tables(self) -> list[str]:
        return self.catalog.delta_tables(SCHEMAS)

    def maintain(self, name: str, needed: Collection[int], retain: timedelta, *, dry_run: bool) -> MaintainedTable:
        """Compact a table, and vacuum it with the retention that its oldest needed version takes."""
        times = {int(row["version"]): _utc(row["timestamp"]) for row in self._sql("DESCRIBE HISTORY", name)}
        kept = {version for version in needed if version in times}
        now = datetime.now(UTC)
        keep = retention(min((times[version] for version in kept), default=None), retain, now)
        hours = ceil(keep / timedelta(hours=1))
        before = after = self._size(name)
        if not dry_run:
            self._set_properties(name, hours)
            self._sql("OPTIMIZE", name)
            self._sql("VACUUM", name, f"RETAIN {hours} HOURS")
            after = self._size(name)
        return MaintainedTable(name, before, after, kept, set(needed) - kept, f"RETAIN {hours} HOURS")

    def finish(self, *, dry_run: bool) -> Mapping[str, FolderSize]:
        del dry_run
        return {}

    def _set_properties(self, name: str, hours: int) -> None:
        log = max(hours, ceil(LEAST_LOG / timedelta(hours=1)))
        wanted = {LOG: f"interval {log} hours", FILES: f"interval {hours} hours"}
        current = self.catalog.properties(name)
        if changed := {key: value for key, value in wanted.items() if current.get(key) != value}:
            pairs = ", ".join(f"'{key}' = '{value}'" for key, value in changed.items())
            self._sql("ALTER TABLE", name, f"SET TBLPROPERTIES ({pairs})")

    def _size(self, name: str) -> FolderSize:
        (detail,) = self._sql("DESCRIBE DETAIL", name)
        return FolderSize(int(detail["numFiles"]), int(detail["sizeInBytes"]))

    def _sql(self, statement: str, name: str, rest: str = "") -> list[Any]:
        text = f"{statement} {self.catalog.quoted(name)} {rest}".rstrip()
        return list(self.catalog.session.sql(text).collect())


def _utc(time: datetime) -> datetime:
    """The session is in UTC, and PySpark returns times without a zone."""
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _conforms(maintenance: DatabricksMaintenance) -> TableMaintenance:
    return maintenance
