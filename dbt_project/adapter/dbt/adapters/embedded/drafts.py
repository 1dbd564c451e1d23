"""Draft of a table, built in a hidden folder and published in one step, so that no reader sees a partial table."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from deltalake import DeltaTable
from deltalake.transaction import AddAction, create_table_with_add_actions

from lakehouse.tables.warehouse import TableName, Warehouse


@dataclass(frozen=True)
class Draft:
    """Delta table in a folder of its own, on the same disk as the warehouse but outside its schemas."""

    location: Path

    @classmethod
    @contextmanager
    def of(cls, warehouse: Warehouse, name: TableName) -> Iterator["Draft"]:
        """Provide an empty folder and delete it at the end; the rest of an interrupted build is deleted first."""
        target = warehouse.location(name)
        draft = cls(warehouse.root / ".drafts" / target.parent.name / target.name)
        shutil.rmtree(draft.location, ignore_errors=True)
        draft.location.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield draft
        finally:
            shutil.rmtree(draft.location, ignore_errors=True)

    def create(self, target: Path) -> None:
        """Publish the draft as a new table: one rename."""
        target.parent.mkdir(parents=True, exist_ok=True)
        self.location.rename(target)

    def replace(self, target: Path) -> None:
        """Publish the draft as the next version of an existing table: one commit. Earlier versions stay readable.

        The commit drops the properties and CHECKs of the table together with its earlier columns.
        """
        files = list(self._files())
        for file in files:
            path = unquote(file["path"])
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (self.location / path).rename(target / path)
        table = DeltaTable(self.location)
        create_table_with_add_actions(
            str(target), table.schema(), list(map(_added, files)), "overwrite", table.metadata().partition_columns
        )

    def _files(self) -> Iterator[dict[str, Any]]:
        for commit in sorted((self.location / "_delta_log").glob("*.json")):
            for line in commit.read_text(encoding="utf-8").splitlines():
                if file := json.loads(line).get("add"):
                    yield file


def _added(file: dict[str, Any]) -> AddAction:
    return AddAction(
        unquote(file["path"]),  # encoded in the log, and the library encodes it again
        file["size"],
        file["partitionValues"],
        file["modificationTime"],
        data_change=True,
        stats=file["stats"],
    )
