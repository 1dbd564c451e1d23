"""The boundary of table maintenance: what a home does with one table, and what it reports."""

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from lakehouse.tables.vacuum import FolderSize


@dataclass(frozen=True)
class MaintainedTable:
    """Result of one table, or its forecast in a dry run.

    Attributes:
        before, after: its files, without those in the online store.
        kept: needed versions that stay readable.
        lost: needed versions that were no longer readable before.
        note: further effects of the home; may be empty.
    """

    name: str
    before: FolderSize
    after: FolderSize
    kept: Collection[int]
    lost: Collection[int]
    note: str = ""


class TableMaintenance(Protocol):
    """Compacts and vacuums the tables of a home."""

    @property
    def least_retention(self) -> timedelta:
        """The shortest retention that the platform accepts."""
        ...

    def exclusive(self, *, dry_run: bool) -> AbstractContextManager[None]:
        """Keep other writers of feature tables away during the block; a dry run does not."""
        ...

    def tables(self) -> list[str]:
        """Every table to maintain, sorted by name."""
        ...

    def maintain(self, name: str, needed: Collection[int], retain: timedelta, *, dry_run: bool) -> MaintainedTable:
        """Compact a table, and delete what neither a needed version nor one of the last `retain` reads."""
        ...

    def finish(self, *, dry_run: bool) -> Mapping[str, FolderSize]:
        """Delete what killed writes left beside the tables; the size of each by its description."""
        ...
