"""The Feature Store as training sees it: tables with keys, and frames as of a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from lakehouse.errors import LakehouseError, nearest
from lakehouse.online_store import PublishedTable
from scoring.encodings import Encoding

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Versions = Mapping[str, int]


@dataclass(frozen=True)
class Feature:
    """One feature column: its name, SQL type and meaning."""

    name: str
    data_type: str
    description: str


@dataclass(frozen=True)
class FeatureTable:
    """A gold table with a declared key, at one version.

    Attributes:
        name: `schema.table`.
        version: the Delta version that was read.
        keys: the entity's columns.
        timestamp: from when on a row's values were true.
        features: every other column, in table order.
        encodings: how raw values become the features.
        known_at: from when on a row was known, where that may be later; None where it is the timestamp.
        max_age: how old its newest row may be; None for any age.
        newest: the time of its newest row, where `max_age` is declared.
    """

    name: str
    version: int
    description: str
    keys: tuple[str, ...]
    timestamp: str
    features: tuple[Feature, ...]
    encodings: tuple[Encoding, ...]
    known_at: str | None = None
    max_age: timedelta | None = None
    newest: datetime | None = None

    def require_fresh(self, now: datetime) -> None:
        """Make sure that the table is as new as it is declared to be.

        Raises:
            StaleTable: its newest row is older, or it has none.
        """
        if self.max_age is not None and (self.newest is None or now - self.newest > self.max_age):
            raise StaleTable.of(self.name, self.newest, self.max_age)

    @property
    def times(self) -> tuple[str, ...]:
        """The columns that say which of two rows of one key is newer, the first one first."""
        return (self.timestamp, self.known_at) if self.known_at else (self.timestamp,)

    def select(self, exclude: Sequence[str]) -> tuple[str, ...]:
        """The feature names less the excluded ones.

        Raises:
            FeatureNotFound: an excluded one is no feature of this table.
        """
        names = [feature.name for feature in self.features]
        for name in exclude:
            if name not in names:
                raise FeatureNotFound.named(name, self.name, names)
        return tuple(name for name in names if name not in exclude)


@dataclass(frozen=True)
class Snapshot:
    """Any table at one version, as lineage tells of it.

    Attributes:
        name: `schema.table`.
        location: the folder, or the full name in a catalogue.
        table_id: the table's own; a table that was dropped and made again has another.
        columns: the SQL type of each, in table order.
    """

    name: str
    version: int
    location: str
    table_id: str
    rows: int
    columns: Mapping[str, str]


@dataclass(frozen=True)
class Spine:
    """The rows to look features up for: entity keys, a time, and the label, if it is known."""

    table: str
    keys: tuple[str, ...]
    timestamp: str
    label: str | None

    @property
    def columns(self) -> tuple[str, ...]:
        """What a frame carries over from the table."""
        return (*self.keys, self.timestamp, *([] if self.label is None else [self.label]))

    @property
    def order(self) -> tuple[str, ...]:
        """The columns that a frame is ordered by."""
        return (self.timestamp, *(column for column in self.columns if column != self.timestamp))


@dataclass(frozen=True)
class FeatureLookup:
    """Which features of which table, and how old a row may be at most."""

    table: str
    features: tuple[str, ...]
    lookback_days: int | None = None


class FeatureNotFound(LakehouseError):
    """A feature or column is named that the table does not have."""

    @classmethod
    def named(cls, name: str, table: str, known: Sequence[str]) -> "FeatureNotFound":
        return cls(
            f"{table} has no column '{name}'. {nearest(name, list(known))}",
            hint="Correct the use case, or add the column to the model and run: dbt build",
        )


class NoFeatureTable(LakehouseError):
    """The table exists and declares no key."""

    @classmethod
    def named(cls, name: str) -> "NoFeatureTable":
        from lakehouse.warehouse import TableName  # with an engine, which a server that reads keys does without

        model = TableName.parse(name).table
        return cls(
            f"{name} is a table and no feature table: it declares no key",
            hint=f"Declare meta.feature_catalog in {model}.yml and run: dbt build --select {model}",
        )


class KeyDoubled(LakehouseError):
    """A feature table has several rows of one key and time."""

    @classmethod
    def at(cls, table: str, key: Mapping[str, object], times: int) -> "KeyDoubled":
        shown = ", ".join(f"{name} {value}" for name, value in key.items())
        model = table.rpartition(".")[2]
        return cls(
            f"{table} has {times} rows of {shown}, and no rule says which one counts",
            hint=f"Find them all: dbt test --select {model}. Let its model write one row for each key and time.",
        )


class StaleTable(LakehouseError):
    """A feature table is older than its model declares it may be."""

    @classmethod
    def of(cls, name: str, newest: datetime | None, max_age: timedelta) -> "StaleTable":
        model = name.rpartition(".")[2]
        age = f"ends at {newest:%Y-%m-%d %H:%M} UTC" if newest else "has no rows"
        return cls(
            f"{name} {age}, and may be {max_age} old at most",
            hint=f"Bring it up to date: dbt build --select +{model}. Or change `freshness` in {model}.yml.",
        )


class NameTaken(LakehouseError):
    """Two columns of a frame would have one name."""

    @classmethod
    def by(cls, feature: str, table: str) -> "NameTaken":
        return cls(
            f"the frame has a column '{feature}' already, and {table} would add another",
            hint="Exclude one of them in the use case, or rename it in a gold model.",
        )


class TableTaken(LakehouseError):
    """A table of that name is there, and nothing may stand in its place."""

    @classmethod
    def named(cls, name: str) -> "TableTaken":
        return cls(f"{name} is there already, and is not written over", hint="Name another table.")


class FeatureStore(Protocol):
    """One boundary, one file per home."""

    def tables(self) -> list[FeatureTable]:
        """Every published feature table at its newest version, ordered by name."""
        ...

    def table(self, name: str, version: int | None = None) -> FeatureTable:
        """One feature table, at a version or at the newest.

        Raises:
            TableNotFound: it was not built.
            NoFeatureTable: it was built and declares no key.
        """
        ...

    def vocabulary(self, index_table: str, version: int | None = None) -> tuple[tuple[str, ...], int]:
        """The categories of an index table by their integer (place 0 is empty: unknown), and its version."""
        ...

    def training_frame(
        self, spine: Spine, lookups: Sequence[FeatureLookup], versions: Versions | None = None
    ) -> "tuple[DataFrame, Versions]":
        """The spine with, for each row, the newest features at or before its timestamp; and what was read.

        A row that finds no features has NULL in all of that table's columns. Features whose time is the row's count;
        where a table says when a row became known, one that was not known yet does not. With `versions`, exactly
        those versions are read, so that a frame can be built again.

        Raises:
            TableNotFound: a table was not built.
            NoFeatureTable: a looked-up table declares no key.
            FeatureNotFound: a column is named that a table does not have.
            NameTaken: a feature has the name of a column of the spine, or of another feature.
            KeyDoubled: a table has several rows of one key and time.
        """
        ...

    def snapshot(self, name: str, version: int) -> Snapshot:
        """What a table of the warehouse was at a version: a spine, a feature table, an index table.

        Raises:
            TableNotFound: it was not built, or has no such version.
        """
        ...

    def rows(self, name: str) -> "DataFrame":
        """Any table as it is now.

        Raises:
            TableNotFound: it was not built.
        """
        ...

    def create(self, name: str, rows: "DataFrame") -> None:
        """Write a new table: all of its rows, or no table.

        Raises:
            TableTaken: a table of that name is there.
        """
        ...

    def publish(self, name: str) -> PublishedTable:
        """Bring the online table of a feature table to its newest version: the newest row of each key.

        Raises:
            TableNotFound, NoFeatureTable: as `table`.
            KeyDoubled: a key has several newest rows.
        """
        ...
