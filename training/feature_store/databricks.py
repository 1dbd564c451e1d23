"""The feature store in Unity Catalog, through Databricks' client.

The client is the optional extra `databricks`, under Databricks' licence. It runs only inside a workspace; outside
one, only its signatures can be checked. So this module imports it on first use.

The client reads every feature table at its newest version and supports one time per row. Two kinds of frame need
more: an earlier version, and a table whose rows became known later than they were true. This module joins them by
windows; the workspace then records no lineage. Keys, descriptions and encodings are always the current ones,
because Unity Catalog keeps no earlier ones.

A frame is lazy: the client may read a table after this module looked up its version, and then reads newer rows. Do
not build the tables while a frame is read.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame

from lakehouse.errors import LakehouseError
from lakehouse.session import workspace_session
from lakehouse.settings import Settings
from lakehouse.tables.online_store import PublishedTable
from lakehouse.tables.warehouse import TableNotFound
from training.feature_store.errors import NotAFeatureTable
from training.feature_store.joined_rows import JoinedRows, SparkRows
from training.feature_store.key_types import compared_types
from training.feature_store.point_in_time import Side, point_in_time_join, require_joinable, require_unique
from training.feature_store.reading import Properties, categories, newest_time
from training.feature_store.store import FeatureStore, Unreadable
from training.feature_store.tables import Feature, FeatureLookup, FeatureTable, Snapshot, Spine, Versions
from training.feature_store.unity_catalog import UnityCatalog

if TYPE_CHECKING:
    from databricks.feature_engineering import FeatureEngineeringClient


class NotInWorkspace(LakehouseError):
    """The feature tables of Unity Catalog cannot be reached from this process."""

    @classmethod
    def outside(cls) -> "NotInWorkspace":
        return cls(
            "FEATURE_STORE is 'databricks', and this process runs outside a Databricks workspace",
            hint="Run the command as a job in the workspace, or unset FEATURE_STORE to read the local warehouse.",
        )

    @classmethod
    def without_the_client(cls) -> "NotInWorkspace":
        return cls(
            "the client of the Databricks Feature Store is not installed",
            hint="Install the extra: pip install 'lakehouse-ml[databricks]'",
        )


class LookupRefused(LakehouseError):
    """The client refuses to join these tables."""

    @classmethod
    def by_the_client(cls, spine: str, tables: Sequence[str], reason: Exception) -> "LookupRefused":
        return cls(
            f"the features of {', '.join(tables)} cannot be looked up for {spine}: {reason}",
            hint="Compare the types of the keys and timestamps of these tables, and the permissions on them.",
        )


class OnlineStoreMissing(LakehouseError):
    """The workspace has no such online store."""

    @classmethod
    def named(cls, name: str) -> "OnlineStoreMissing":
        return cls(
            f"the workspace has no online store '{name}'",
            hint="Create it (FeatureEngineeringClient.create_online_store), or set ONLINE_STORE to another one.",
        )


class OnlineRefused(LakehouseError):
    """The platform would serve rows that differ from those of a frame."""

    @classmethod
    def second_time(cls, name: str, known_at: str) -> "OnlineRefused":
        return cls(
            f"{name} has a second time column {known_at}; an online table would keep one row for each of its values",
            hint="Publish a feature table that has only the newest row of each key.",
        )


def connect(settings: Settings) -> "DatabricksFeatureStore":
    """Open the store of the workspace in which this process runs.

    Raises:
        NotInWorkspace: the process runs outside a workspace, or without the client.
    """
    if not settings.in_workspace:
        raise NotInWorkspace.outside()
    try:
        from databricks.feature_engineering import FeatureEngineeringClient
    except ImportError as err:
        raise NotInWorkspace.without_the_client() from err
    client = FeatureEngineeringClient()
    return DatabricksFeatureStore(
        UnityCatalog(workspace_session(), settings.catalog, settings.name_prefix), client, settings.online_store
    )


@dataclass(frozen=True)
class DatabricksFeatureStore:
    """Feature tables of one catalog: tables with a time-series primary key, as `dbt build` publishes them."""

    catalog: UnityCatalog
    client: "FeatureEngineeringClient"
    online_store: str = "lakehouse"

    def tables(self, unreadable: Unreadable | None = None) -> list[FeatureTable]:
        found = list[FeatureTable]()
        for name in self.catalog.keyed_tables():
            try:
                description = self._described(name)
                if description.timestamp_keys:
                    found.append(self._table(name, description, self.catalog.version(name)))
            except TableNotFound as err:
                if unreadable is None:
                    raise
                unreadable(name, err)
        return found

    def table(self, name: str, version: int | None = None) -> FeatureTable:
        """One feature table, at a version or at the newest.

        Raises:
            TableNotFound: the table was not built, or no longer has that version.
            NotAFeatureTable: the table has no time-series primary key.
        """
        pinned = self.catalog.version(name, version)
        try:
            description = self._described(name)
        except ValueError as err:  # the client's error for a table without a primary key
            raise NotAFeatureTable.named(name) from err
        if not description.timestamp_keys:
            raise NotAFeatureTable.named(name)
        return self._table(name, description, pinned)

    def vocabulary(self, index_table: str, version: int | None = None) -> tuple[tuple[str, ...], int]:
        pinned = self.catalog.version(index_table, version)
        return categories(map(tuple, self.catalog.read(index_table, pinned).collect())), pinned

    def training_frame(
        self, spine: Spine, lookups: Sequence[FeatureLookup], versions: Versions | None = None
    ) -> tuple[JoinedRows, Versions]:
        """The spine with features, joined by the client where it supports the tables and versions.

        Raises:
            TableNotFound, NotAFeatureTable, FeatureNotFound, DuplicateColumn, KeyTypesDiffer, DuplicateKey: as every
                home.
            LookupRefused: the client refuses to join the tables.
        """
        requested = versions or {}
        pinned = {spine.table: self.catalog.version(spine.table, requested.get(spine.table))}
        rows = self.catalog.columns(spine.table, pinned[spine.table], spine.columns)
        tables = [self.table(lookup.table, requested.get(lookup.table)) for lookup in lookups]
        pinned |= {table.name: table.version for table in tables}
        names = require_joinable(spine, list(zip(tables, lookups, strict=True)))
        marked = any(lookup.marker for lookup in lookups)  # the client adds features alone
        if marked or not all(self._client_reads(table, requested) for table in tables):
            sides = [self._side(*pair) for pair in zip(tables, lookups, strict=True)]
            return SparkRows(point_in_time_join(rows, spine, sides), spine.order), pinned
        keyed = [(each, self.catalog.columns(each.name, each.version, [*each.keys, *each.times])) for each in tables]
        compared_types(spine, rows.schema, [(table, keys.schema) for table, keys in keyed])
        for table, keys in keyed:
            require_unique(table, keys)
        # The client reads an empty list of features as all features.
        joins = [
            self._lookup(table, spine, each) for table, each in zip(tables, lookups, strict=True) if each.features
        ]
        if joins:
            with _translated(spine.table, [join.table_name for join in joins]):
                rows = self.client.create_training_set(df=rows, feature_lookups=joins, label=spine.label).load_df()
        return SparkRows(rows.select(*names).orderBy(*spine.order), spine.order), pinned

    def snapshot(self, name: str, version: int) -> Snapshot:
        return self.catalog.snapshot(name, version)

    def rows(self, name: str) -> DataFrame:
        return self.catalog.read(name, self.catalog.version(name))

    def create(self, name: str, rows: DataFrame) -> None:
        self.catalog.create(name, rows)

    def publish(self, name: str) -> PublishedTable:
        """Publish to the online store in ONLINE_STORE; the platform keeps the newest row of each key.

        Raises:
            TableNotFound, NotAFeatureTable: as every home.
            OnlineStoreMissing: the workspace has no such online store. None is created: it costs by the hour.
            OnlineRefused: the table has a second time column, which the platform cannot use to find the newest row.
        """
        table = self.table(name)
        if table.known_at:
            raise OnlineRefused.second_time(name, table.known_at)
        online = self.client.get_online_store(name=self.online_store)
        if online is None:
            raise OnlineStoreMissing.named(self.online_store)
        self.client.publish_table(
            online_store=online,
            source_table_name=self.catalog.full(name),
            online_table_name=f"{self.catalog.full(name)}_online",
            publish_mode="TRIGGERED",
        )
        names = tuple(feature.name for feature in table.features)
        return PublishedTable(table.version, names, None, datetime.now(UTC).isoformat(timespec="seconds"))

    def _client_reads(self, table: FeatureTable, requested: Versions) -> bool:
        at_newest = table.name not in requested or table.version == self.catalog.version(table.name)
        return at_newest and table.known_at is None

    def _described(self, name: str) -> Any:
        return self.client.get_table(name=self.catalog.full(name))

    def _table(self, name: str, description: Any, version: int) -> FeatureTable:
        """A feature table from the client's description; types, comments and encodings come from the table itself."""
        rows = self.catalog.read(name, version)
        published = Properties(self.catalog.properties(name))
        (timestamp,) = description.timestamp_keys
        times = {timestamp, published.known_at}
        keys = tuple(key for key in description.primary_keys if key not in times)
        return FeatureTable(
            name=name,
            version=version,
            description=description.description or "",
            keys=keys,
            timestamp=timestamp,
            features=tuple(
                Feature(field.name, field.dataType.simpleString(), field.metadata.get("comment", ""))
                for field in rows.schema.fields
                if field.name not in {*keys, *times}
            ),
            encodings=published.encodings,
            known_at=published.known_at,
            max_age=published.max_age,
            newest=newest_time(rows, timestamp) if published.max_age else None,
        )

    def _side(self, table: FeatureTable, lookup: FeatureLookup) -> Side:
        columns = [*table.keys, *table.times, *lookup.features]
        return Side(table, lookup, self.catalog.columns(table.name, table.version, columns))

    def _lookup(self, table: FeatureTable, spine: Spine, lookup: FeatureLookup) -> Any:
        from databricks.feature_engineering import FeatureLookup as ClientLookup

        days = lookup.lookback_days
        return ClientLookup(
            table_name=self.catalog.full(table.name),
            lookup_key=list(table.keys),
            feature_names=list(lookup.features),
            timestamp_lookup_key=spine.timestamp,
            lookback_window=None if days is None else timedelta(days=days),
        )


@contextmanager
def _translated(spine: str, tables: Sequence[str]) -> Iterator[None]:
    try:
        yield
    except (ValueError, PySparkException) as err:
        raise LookupRefused.by_the_client(spine, tables, err) from err


def _conforms(store: DatabricksFeatureStore) -> FeatureStore:
    return store
