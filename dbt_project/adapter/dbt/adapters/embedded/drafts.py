"""Draft of a table: the engine writes into a hidden folder, and one step publishes the result.

No reader sees a partial table. The engine sees no constraints in a draft: it would evaluate them below the filters of
the query, and take exponentially longer with each NOT NULL column. `constraints` checks the written files instead.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbt.adapters.embedded.delta_log import (
    FILE_ACTIONS,
    Action,
    Declaration,
    DeltaLog,
    declared,
    file_of,
    permitting,
    removal,
)

from lakehouse.tables.warehouse import TableName, Warehouse


@dataclass(frozen=True)
class Draft:
    """Delta table in a folder of its own, on the same disk as the warehouse but outside its schemas."""

    location: Path

    @classmethod
    def of(cls, warehouse: Warehouse, name: TableName) -> "Draft":
        """The draft of a table; its folder may not exist."""
        target = warehouse.location(name)
        return cls(warehouse.root / ".drafts" / target.parent.name / target.name)

    @property
    def log(self) -> DeltaLog:
        """The log of the draft."""
        return DeltaLog(self.location)

    @contextmanager
    def emptied(self) -> Iterator[None]:
        """Provide an empty place and delete it at the end; the rest of an interrupted build is deleted first."""
        self.delete()
        self.location.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield
        finally:
            self.delete()

    def delete(self) -> None:
        """Delete the folder, if there is one."""
        shutil.rmtree(self.location, ignore_errors=True)

    # A complete table

    def added(self) -> list[dict[str, Any]]:
        """Files of a draft that began empty."""
        return list(self.log.active_files().values())

    def create(self, target: Path, declaration: Declaration) -> None:
        """Publish the draft as a new table: one rename."""
        self.log.declare(declaration)
        target.parent.mkdir(parents=True, exist_ok=True)
        self.location.rename(target)

    def replace(self, target: Path, declaration: Declaration) -> None:
        """Publish the draft as the next version of a table with other columns or constraints: one commit."""
        self.log.declare(declaration)
        protocol, metadata = DeltaLog(target).head()
        new = self.log.head()[1]["metaData"] | {"id": metadata["metaData"]["id"]}
        self._replace(target, [permitting(protocol, declaration.checks), {"metaData": new}])

    def replace_rows(self, target: Path) -> None:
        """Publish the draft as the next version of a table with the same columns and constraints: one commit."""
        self._replace(target, ())

    def _replace(self, target: Path, head: Iterable[Action]) -> None:
        files, log = self.added(), DeltaLog(target)
        self._move(files, target)
        log.commit([*head, *({"add": add} for add in files), *map(removal, log.active_files().values())], "WRITE")

    # A change of an existing table

    def copy(self, target: Path) -> None:
        """Fill the draft with the table: its log and links to its files, without constraints."""
        self.delete()
        log = DeltaLog(target)
        self.log.folder.mkdir(parents=True)
        for file in log.folder.iterdir():
            if file.suffix in {".json", ".parquet"}:
                os.link(file, self.log.folder / file.name)
            elif file.name == "_last_checkpoint":  # engines may rewrite it in place
                shutil.copy(file, self.log.folder)
        self._link(target, log.active_files().values(), self.location)
        protocol, metadata = log.head()
        self.log.commit([protocol, declared(metadata, Declaration())], "SET TBLPROPERTIES")

    def changes(self, target: Path) -> list[dict[str, Any]]:
        """File actions that the engine committed to a copy of the table."""
        since = DeltaLog(target).version() + 2  # the copy's own commit removed the constraints
        return [action for action in self.log.actions(since) if action.keys() & FILE_ACTIONS]

    def apply(self, target: Path, *, replaces_partitions: bool = False) -> None:
        """Publish the changes of a copy as the next version of the table: one commit.

        Args:
            target: folder of the table.
            replaces_partitions: remove the earlier files of each partition that has new files.
        """
        log, changes = DeltaLog(target), self.changes(target)
        added = [action["add"] for action in changes if "add" in action]
        if replaces_partitions:
            partitions = [add["partitionValues"] for add in added]
            earlier = (add for add in log.active_files().values() if add["partitionValues"] in partitions)
            changes += map(removal, earlier)
        if changes:
            self._move(added, target)
            log.commit(changes, "MERGE")

    @contextmanager
    def written(self, target: Path) -> Iterator[Path]:
        """Provide a table of the new files of a copy alone."""
        folder = self.location.with_name(f"{self.location.name}.written")
        shutil.rmtree(folder, ignore_errors=True)
        added = [action["add"] for action in self.changes(target) if "add" in action]
        try:
            self._link(self.location, added, folder)
            (folder / "_delta_log").mkdir(parents=True)
            DeltaLog(folder).commit([*self.log.head(), *({"add": add} for add in added)], "WRITE")
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _move(self, files: Iterable[Action], target: Path) -> None:
        for add in files:
            moved = target / file_of(add)
            moved.parent.mkdir(parents=True, exist_ok=True)
            (self.location / file_of(add)).rename(moved)

    @staticmethod
    def _link(source: Path, files: Iterable[Action], target: Path) -> None:
        for add in files:
            linked = target / file_of(add)
            linked.parent.mkdir(parents=True, exist_ok=True)
            os.link(source / file_of(add), linked)
