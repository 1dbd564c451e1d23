"""The Feature Store in Unity Catalog, through Databricks' own client.

The client is the optional extra `databricks`, under Databricks' own licence. It runs inside a workspace only; outside
one, its signatures can be checked and nothing more. So nothing here imports it before it is asked for.

It reads every feature table at its newest version and knows one time for a row. A frame that needs more, an earlier
version or a table whose rows became known later than they were true, is joined here instead, as the local home joins
it; the workspace then records no lineage for it. Keys, meaning and encodings are always those of now: Unity Catalog
keeps no earlier ones.
A frame is lazy: a feature table that is written between this module's look at its version and the client's reading of
it is read as it is then. Do not build the tables while a frame is read.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame

from lakehouse.errors import LakehouseError
from lakehouse.online_store import PublishedTable
from lakehouse.session import workspace_session
from lakehouse.settings import Settings
from training.feature_store import (
    Feature,
    FeatureLookup,
    FeatureStore,
    FeatureTable,
    NoFeatureTable,
    Snapshot,
    Spine,
    Versions,
)
from training.feature_store.point_in_time import Side, as_of, require_joinable, require_unique
from training.feature_store.reading import Properties, categories, newest_time
from training.feature_store.unity_catalog import UnityCatalog

if TYPE_CHECKING:
    from databricks.feature_engineering import FeatureEngineeringClient


class WorkspaceNeeded(LakehouseError):
    """Unity Catalog's feature tables cannot be reached from here."""

    @classmethod
    def outside(cls) -> "WorkspaceNeeded":
        return cls(
            "FEATURE_STORE is 'databricks', and this process runs outside a Databricks workspace",
            hint="Run the command as a job in the workspace, or unset FEATURE_STORE to read the local warehouse.",
        )

    @classmethod
    def without_the_client(cls) -> "WorkspaceNeeded":
        return cls(
            "the client of Databricks' Feature Store is not installed",
            hint="Install the extra: pip install 'lakehouse-ml[databricks]'",
        )


class LookupRefused(LakehouseError):
    """The client does not join these tables."""

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
            hint="Create it (FeatureEngineeringClient.create_online_store), or name another in ONLINE_STORE.",
        )


class OnlineRefused(LakehouseError):
    """The platform would serve other rows than a frame has."""

    @classmethod
    def second_time(cls, name: str, known_at: str) -> "OnlineRefused":
        return cls(
            f"{name} says in {known_at} when a row became known; an online table would keep a row for each such time",
            hint="Publish a feature table that has the newest row of each key alone.",
        )


def connect(settings: Settings) -> "DatabricksFeatureStore":
    """The store of the workspace in which this process runs.

    Raises:
        WorkspaceNeeded: it runs in none, or without the client.
    """
    if not settings.in_workspace:
        raise WorkspaceNeeded.outside()
    try:
        from databricks.feature_engineering import FeatureEngineeringClient
    except ImportError as err:
        raise WorkspaceNeeded.without_the_client() from err
    client = FeatureEngineeringClient()
    return DatabricksFeatureStore(UnityCatalog(workspace_session(), settings.catalog), client, settings.online_store)


@dataclass(frozen=True)
class DatabricksFeatureStore:
    """Feature tables of one catalog: tables whose primary key has a time series, as `dbt build` publishes them."""

    catalog: UnityCatalog
    client: "FeatureEngineeringClient"
    online_store: str = "lakehouse"

    def tables(self) -> list[FeatureTable]:
        described = ((name, self._described(name)) for name in self.catalog.keyed_tables())
        return [
            self._table(name, about, self.catalog.version(name)) for name, about in described if about.timestamp_keys
        ]

    def table(self, name: str, version: int | None = None) -> FeatureTable:
        """One feature table, at a version or at the newest.

        Raises:
            TableNotFound: it was not built, or does not keep that version.
            NoFeatureTable: it was built, and has no primary key with a time series.
        """
        pinned = self.catalog.version(name, version)
        try:
            about = self._described(name)
        except ValueError as err:  # all that the client says of a table without a primary key
            raise NoFeatureTable.named(name) from err
        if not about.timestamp_keys:
            raise NoFeatureTable.named(name)
        return self._table(name, about, pinned)

    def vocabulary(self, index_table: str, version: int | None = None) -> tuple[tuple[str, ...], int]:
        pinned = self.catalog.version(index_table, version)
        return categories(self.catalog.read(index_table, pinned)), pinned

    def training_frame(
        self, spine: Spine, lookups: Sequence[FeatureLookup], versions: Versions | None = None
    ) -> tuple[DataFrame, Versions]:
        """The spine with features, by the client where it can read what is wanted.

        Raises:
            TableNotFound, NoFeatureTable, FeatureNotFound, NameTaken, KeyDoubled: as every home.
            LookupRefused: the client finds fault with the tables.
        """
        wanted = versions or {}
        pinned = {spine.table: self.catalog.version(spine.table, wanted.get(spine.table))}
        rows = self.catalog.columns(spine.table, pinned[spine.table], spine.columns)
        tables = [self.table(lookup.table, wanted.get(lookup.table)) for lookup in lookups]
        pinned |= {table.name: table.version for table in tables}
        names = require_joinable(spine, list(zip(tables, lookups, strict=True)))
        if not all(self._client_reads(table, wanted) for table in tables):
            return as_of(rows, spine, [self._side(*pair) for pair in zip(tables, lookups, strict=True)]), pinned
        for table in tables:
            require_unique(table, self.catalog.columns(table.name, table.version, [*table.keys, *table.times]))
        # The client takes an empty list of features for every feature.
        joins = [
            self._lookup(table, spine, look) for table, look in zip(tables, lookups, strict=True) if look.features
        ]
        if joins:
            with _translated(spine.table, [join.table_name for join in joins]):
                rows = self.client.create_training_set(df=rows, feature_lookups=joins, label=spine.label).load_df()
        return rows.select(*names).orderBy(*spine.order), pinned

    def snapshot(self, name: str, version: int) -> Snapshot:
        return self.catalog.snapshot(name, version)

    def rows(self, name: str) -> DataFrame:
        return self.catalog.read(name, self.catalog.version(name))

    def create(self, name: str, rows: DataFrame) -> None:
        self.catalog.create(name, rows)

    def publish(self, name: str) -> PublishedTable:
        """Publish to the online store that ONLINE_STORE names; the platform keeps the newest row of each key.

        Raises:
            TableNotFound, NoFeatureTable: as every home.
            OnlineStoreMissing: the workspace has no online store of that name. None is made: it costs by the hour.
            OnlineRefused: the table has a second time, by which the platform does not tell the newest row.
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

    def _client_reads(self, table: FeatureTable, wanted: Versions) -> bool:
        at_newest = table.name not in wanted or table.version == self.catalog.version(table.name)
        return at_newest and table.known_at is None

    def _described(self, name: str) -> Any:
        return self.client.get_table(name=self.catalog.full(name))

    def _table(self, name: str, about: Any, version: int) -> FeatureTable:
        """A feature table from the client's description; types, meanings and encodings stand in the table itself."""
        rows = self.catalog.read(name, version)
        published = Properties(self.catalog.properties(name))
        (timestamp,) = about.timestamp_keys
        times = {timestamp, published.known_at}
        keys = tuple(key for key in about.primary_keys if key not in times)
        return FeatureTable(
            name=name,
            version=version,
            description=about.description or "",
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
