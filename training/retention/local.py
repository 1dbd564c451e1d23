"""Maintenance of the tables of a warehouse folder; it needs no engine."""

import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lakehouse.tables.vacuum import FolderSize, compact, compactable, is_append_only, plan_vacuum
from lakehouse.tables.warehouse import TableName, TableNotFound, Warehouse
from lakehouse.tables.writer_lock import WriterLock
from training.retention.maintained import MaintainedTable, TableMaintenance

DRAFTS = ".drafts"  # below the warehouse: tables that dbt is writing


@dataclass(frozen=True)
class LocalMaintenance:
    """Maintenance of one warehouse."""

    warehouse: Warehouse
    least_retention = timedelta(0)

    @contextmanager
    def exclusive(self, *, dry_run: bool) -> Iterator[None]:
        """Hold the writer lock.

        Raises:
            WarehouseBusy, WarehouseUnwritable: another process writes, or the folder is not writable.
        """
        if dry_run:
            yield
            return
        self.warehouse.require_writable()
        lock = WriterLock.on(self.warehouse.root)
        try:
            yield
        finally:
            lock.release()

    def tables(self) -> list[str]:
        return [str(name) for name in self.warehouse.tables()]

    def maintain(self, name: str, needed: Collection[int], retain: timedelta, *, dry_run: bool) -> MaintainedTable:
        table = TableName.parse(name)
        location = self.warehouse.location(table)
        if table not in self.warehouse.tables(table.schema):
            raise TableNotFound.named(name, self.tables())
        before = FolderSize.below(location)
        if is_append_only(location):
            return MaintainedTable(name, before, before, set(needed), (), "append-only, left as it is")
        small = compactable(location)
        if not dry_run:
            compact(location)
        plan = plan_vacuum(location, needed, retain, datetime.now(UTC))
        after = before - plan.size
        if not dry_run:
            plan.execute()
            after = FolderSize.below(location)
        note = f"{small:,} small files merged" if small else ""
        return MaintainedTable(name, before, after, plan.kept & set(needed), plan.lost, note)

    def finish(self, *, dry_run: bool) -> Mapping[str, FolderSize]:
        drafts = self.warehouse.root / DRAFTS
        size = FolderSize.below(drafts)
        if not dry_run:
            shutil.rmtree(drafts, ignore_errors=True)
        return {"drafts of killed builds": size} if size.files else {}


def _conforms(maintenance: LocalMaintenance) -> TableMaintenance:
    return maintenance
