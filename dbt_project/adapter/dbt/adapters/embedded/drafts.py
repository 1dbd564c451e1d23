"""A table that is built out of sight and put in place in one step, so that nobody meets half of it."""

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

from lakehouse.warehouse import TableName, Warehouse


@dataclass(frozen=True)
class Draft:
    """A Delta table in a folder of its own, on the warehouse's disk and outside its schemas."""

    location: Path

    @classmethod
    @contextmanager
    def of(cls, warehouse: Warehouse, name: TableName) -> Iterator["Draft"]:
        """An empty folder to build in, gone at the end; what a build that was cut off left there goes first."""
        target = warehouse.location(name)
        draft = cls(warehouse.root / ".drafts" / target.parent.name / target.name)
        shutil.rmtree(draft.location, ignore_errors=True)
        draft.location.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield draft
        finally:
            shutil.rmtree(draft.location, ignore_errors=True)

    def become(self, target: Path) -> None:
        """Be the table that was not there: one rename."""
        target.parent.mkdir(parents=True, exist_ok=True)
        self.location.rename(target)

    def replace(self, target: Path) -> None:
        """Be the next version of the table that is there: one commit, after which its earlier versions can be read.

        The table's properties and CHECKs are gone with its earlier columns.
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
        unquote(file["path"]),  # the log has it encoded, and the library encodes it
        file["size"],
        file["partitionValues"],
        file["modificationTime"],
        data_change=True,
        stats=file["stats"],
    )
