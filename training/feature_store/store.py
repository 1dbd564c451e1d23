"""The boundary of the feature store, one Protocol per kind of use; each home implements all of them."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from lakehouse.errors import LakehouseError
from lakehouse.tables.online_store import PublishedTable
from training.feature_store.joined_rows import JoinedRows
from training.feature_store.tables import FeatureLookup, FeatureTable, Snapshot, Spine, Versions

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Unreadable = Callable[[str, LakehouseError], None]


class FeatureReader(Protocol):
    """Reads feature tables and frames."""

    def tables(self, unreadable: Unreadable | None = None) -> list[FeatureTable]:
        """Every published feature table at its newest version, sorted by name.

        Args:
            unreadable: is told of a table that cannot be read, which is left out; None raises the error.

        Raises:
            TableNotFound: a table cannot be read.
        """
        ...

    def table(self, name: str, version: int | None = None) -> FeatureTable:
        """One feature table, at a version or at the newest.

        Raises:
            TableNotFound: the table was not built.
            NotAFeatureTable: the table declares no key.
        """
        ...

    def vocabulary(self, index_table: str, version: int | None = None) -> tuple[tuple[str, ...], int]:
        """Categories of an index table by their integer (0 is empty: unknown), and the version of the table."""
        ...

    def training_frame(
        self, spine: Spine, lookups: Sequence[FeatureLookup], versions: Versions | None = None
    ) -> tuple[JoinedRows, Versions]:
        """The spine with the newest features at or before each row's timestamp, and the versions that were read.

        A row without features has NULL in every column of that table. Features with the timestamp of the row count.
        Where a table says when its rows became known, rows that became known later do not count. With `versions`,
        exactly those versions are read, so that a frame can be rebuilt.

        Raises:
            TableNotFound: a table was not built.
            NotAFeatureTable: a looked-up table declares no key.
            FeatureNotFound: a table lacks a requested column.
            DuplicateColumn: a feature has the name of a column of the spine, or of another feature.
            KeyTypesDiffer: the spine and a table have a key in different types.
            DuplicateKey: a table has several rows of one key and time.
        """
        ...

    def snapshot(self, name: str, version: int) -> Snapshot:
        """A spine, feature table or index table at a version.

        Raises:
            TableNotFound: the table was not built, or has no such version.
        """
        ...


class TableStore(Protocol):
    """Reads any table, and creates new ones."""

    def rows(self, name: str) -> "DataFrame":
        """Rows of the newest version of a table.

        Raises:
            TableNotFound: the table was not built.
        """
        ...

    def create(self, name: str, rows: "DataFrame") -> None:
        """Create a table with all of these rows; on failure no table is left.

        Raises:
            TableExists: a table of that name exists.
        """
        ...


class OnlinePublisher(Protocol):
    """Publishes feature tables for lookup by key."""

    def publish(self, name: str) -> PublishedTable:
        """Update the online table of a feature table to its newest version: the newest row of each key.

        Raises:
            TableNotFound, NotAFeatureTable: as `FeatureReader.table`.
            DuplicateKey: a key has several newest rows.
        """
        ...


class FeatureStore(FeatureReader, TableStore, OnlinePublisher, Protocol):
    """Everything that a home provides."""
