"""Feature tables, spines and lookups: the types that every home reads and writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from scoring.encodings import Encoding
from training.feature_store.errors import FeatureNotFound, StaleTable

Versions = Mapping[str, int]


@dataclass(frozen=True)
class Feature:
    """Name, SQL type and description of a feature column."""

    name: str
    data_type: str
    description: str


@dataclass(frozen=True)
class FeatureTable:
    """A gold table with a declared key, at one version.

    Attributes:
        name: `schema.table`.
        version: the Delta version that was read.
        keys: columns of the entity.
        timestamp: column with the time from which the row's values were true.
        features: every other column, in table order.
        encodings: encodings from raw columns to the features.
        known_at: column with the time from which a row was known, where that may be later than `timestamp`;
            None where both are the same.
        max_age: maximum age of the newest row; None for any age.
        newest: time of the newest row, read only if `max_age` is declared.
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
        """Check that the newest row is not older than `max_age`.

        Raises:
            StaleTable: the newest row is older, or the table has no rows.
        """
        if self.max_age is not None and (self.newest is None or now - self.newest > self.max_age):
            raise StaleTable.of(self.name, self.newest, self.max_age)

    @property
    def vectors(self) -> Mapping[str, tuple[str, ...]]:
        """The features of each column that holds several of them as an array."""
        names = {feature.name for feature in self.features}
        declared = {name: parts for encoding in self.encodings for name, parts in encoding.vectors.items()}
        return {name: parts for name, parts in declared.items() if name in names}

    @property
    def times(self) -> tuple[str, ...]:
        """Columns that decide which of two rows of a key is newer, in order of precedence."""
        return (self.timestamp, self.known_at) if self.known_at else (self.timestamp,)

    def select(self, exclude: Sequence[str]) -> tuple[str, ...]:
        """Names of the features without the excluded ones.

        Raises:
            FeatureNotFound: an excluded name is no feature of this table.
        """
        names = [feature.name for feature in self.features]
        for name in exclude:
            if name not in names:
                raise FeatureNotFound.named(name, self.name, names)
        return tuple(name for name in names if name not in exclude)

    def lookup(self, features: Sequence[str], lookback_days: int | None = None) -> "FeatureLookup":
        """Look up these features, with a marker if each of them may be NULL."""
        nullable = frozenset[str]().union(*(encoding.nullable_features for encoding in self.encodings))
        marker = f"_row_of_{self.name.replace('.', '_')}" if features and nullable.issuperset(features) else None
        return FeatureLookup(self.name, tuple(features), lookback_days, marker)


@dataclass(frozen=True)
class Snapshot:
    """Any table at one version, as lineage records it.

    Attributes:
        name: `schema.table`.
        location: folder, or full name in a catalogue.
        table_id: id of the table; a table that was dropped and created again has another.
        columns: SQL type of each column, in table order.
    """

    name: str
    version: int
    location: str
    table_id: str
    rows: int
    columns: Mapping[str, str]


@dataclass(frozen=True)
class Spine:
    """Rows to look features up for: entity keys, a time, the label if it is known, and any fold column."""

    table: str
    keys: tuple[str, ...]
    timestamp: str
    label: str | None
    fold: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table that the frame keeps."""
        named = (*self.keys, self.timestamp, self.label, self.fold)
        return tuple(dict.fromkeys(column for column in named if column is not None))

    @property
    def order(self) -> tuple[str, ...]:
        """Columns that a frame is sorted by."""
        return (self.timestamp, *(column for column in self.columns if column != self.timestamp))


@dataclass(frozen=True)
class FeatureLookup:
    """Features of one table, and the maximum age of a row in days.

    Attributes:
        marker: name of a further column of the joined rows, which is NULL where the table has no row. None where the
            features tell: one of them is never NULL.
    """

    table: str
    features: tuple[str, ...]
    lookback_days: int | None = None
    marker: str | None = None

    @property
    def telling(self) -> tuple[str, ...]:
        """Columns of the joined rows that are all NULL only where the table has no row."""
        return self.features if self.marker is None else (self.marker,)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the joined rows that are of this table."""
        return self.features if self.marker is None else (*self.features, self.marker)
