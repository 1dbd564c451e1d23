"""The Feature Store in Unity Catalog, through Databricks' own client.

The client is the optional extra `databricks`, under Databricks' own licence. It runs inside a workspace only; outside
one, its signatures can be checked and nothing more. So nothing here imports it before it is asked for.

It reads every feature table at its newest version, and has no argument for another. A version of a feature table that
is not the newest is therefore refused. The spine and the index tables are read by Spark, at any version that is kept.
A frame is lazy: a feature table that is written between this module's look at its version and the reading of the
frame is read as it is then. Do not build the tables while a frame is read.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from lakehouse.errors import LakehouseError
from lakehouse.session import workspace_session
from lakehouse.settings import Settings
from lakehouse.warehouse import TableName, TableNotFound
from training.encoding import ENCODINGS
from training.feature_store import (
    Feature,
    FeatureLookup,
    FeatureNotFound,
    FeatureStore,
    FeatureTable,
    NameTaken,
    NoFeatureTable,
    Snapshot,
    Spine,
    Versions,
)
from training.feature_store.online import Published

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


class VersionNotNewest(LakehouseError):
    """A feature table is wanted at a version that the client cannot read any more."""

    @classmethod
    def of(cls, name: str, wanted: int, newest: int) -> "VersionNotNewest":
        return cls(
            f"{name} is wanted at version {wanted} and stands at {newest}; Databricks' client reads the newest only",
            hint="Train on the tables as they are: python -m training.run --use-case NAME",
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
    return DatabricksFeatureStore(workspace_session(), settings.catalog, client, settings.online_store)


@dataclass(frozen=True)
class DatabricksFeatureStore:
    """Feature tables of one catalog: tables whose primary key has a time series, as `dbt build` publishes them."""

    session: SparkSession
    catalog: str
    client: "FeatureEngineeringClient"
    online_store: str = "lakehouse"

    def tables(self) -> list[FeatureTable]:
        keyed = self._listed("table_constraints", "constraint_type = 'PRIMARY KEY'")
        described = ((name, self.client.get_table(name=self._full(name))) for name in keyed)
        return [self._table(name, about, self._version(name)) for name, about in described if about.timestamp_keys]

    def table(self, name: str, version: int | None = None) -> FeatureTable:
        """One feature table at its newest version.

        Raises:
            TableNotFound: it was not built.
            NoFeatureTable: it was built, and has no primary key with a time series.
            VersionNotNewest: `version` is another one.
        """
        newest = self._version(name)
        if version is not None and version != newest:
            raise VersionNotNewest.of(name, version, newest)
        try:
            about = self.client.get_table(name=self._full(name))
        except ValueError as err:  # all that the client says of a table without a primary key
            raise NoFeatureTable.named(name) from err
        if not about.timestamp_keys:
            raise NoFeatureTable.named(name)
        return self._table(name, about, newest)

    def vocabulary(self, index_table: str, version: int | None = None) -> tuple[tuple[str, ...], int]:
        pinned = self._version(index_table, version)
        index = self._read(index_table, pinned)
        category, integer = index.columns
        categories = {row[0]: row[1] for row in index.select(integer, category).collect()}
        return tuple(categories.get(i, "") for i in range(max(categories, default=0) + 1)), pinned

    def training_frame(
        self, spine: Spine, lookups: Sequence[FeatureLookup], versions: Versions | None = None
    ) -> tuple[DataFrame, Versions]:
        """The spine at its pinned version, with features from the tables' newest versions.

        Raises:
            TableNotFound, NoFeatureTable, FeatureNotFound, NameTaken: as every home.
            VersionNotNewest: `versions` pins a looked-up table to a version that is not its newest.
            LookupRefused: the client finds fault with the tables.
        """
        wanted = versions or {}
        pinned = {spine.table: self._version(spine.table, wanted.get(spine.table))}
        columns = list(spine.columns)
        rows = self._columns(spine.table, pinned[spine.table], columns)
        joins = []
        for lookup in lookups:
            table = self.table(lookup.table, wanted.get(lookup.table))
            pinned[table.name] = table.version
            _require_joinable(table, spine, lookup, columns)
            columns += lookup.features
            if lookup.features:  # the client takes an empty list for every feature
                joins.append(self._lookup(table, spine, lookup))
        if joins:
            with _translated(spine.table, [join.table_name for join in joins]):
                rows = self.client.create_training_set(df=rows, feature_lookups=joins, label=spine.label).load_df()
        return rows.select(*columns).orderBy(*spine.order), pinned

    def snapshot(self, name: str, version: int) -> Snapshot:
        pinned = self._read(name, self._version(name, version))
        (detail,) = self.session.sql(f"DESCRIBE DETAIL {self._quoted(name)}").collect()
        return Snapshot(name, version, self._full(name), detail["id"], pinned.count(), dict(pinned.dtypes))

    def publish(self, name: str) -> Published:
        """Publish to the online store that ONLINE_STORE names; the platform keeps the newest row of each key.

        Raises:
            TableNotFound, NoFeatureTable: as every home.
            OnlineStoreMissing: the workspace has no online store of that name. None is made: it costs by the hour.
        """
        table = self.table(name)
        online = self.client.get_online_store(name=self.online_store)
        if online is None:
            raise OnlineStoreMissing.named(self.online_store)
        self.client.publish_table(
            online_store=online,
            source_table_name=self._full(name),
            online_table_name=f"{self._full(name)}_online",
            publish_mode="TRIGGERED",
        )
        names = tuple(feature.name for feature in table.features)
        return Published(table.version, names, None, datetime.now(UTC).isoformat(timespec="seconds"))

    def _table(self, name: str, about: Any, version: int) -> FeatureTable:
        """A feature table from the client's description; types, meanings and encodings stand in the table itself."""
        fields = self.session.read.table(self._quoted(name)).schema.fields
        shown = self.session.sql(f"SHOW TBLPROPERTIES {self._quoted(name)}").collect()
        properties = {row["key"]: row["value"] for row in shown}
        (timestamp,) = about.timestamp_keys
        return FeatureTable(
            name=name,
            version=version,
            description=about.description or "",
            keys=tuple(about.primary_keys),
            timestamp=timestamp,
            features=tuple(
                Feature(field.name, field.dataType.simpleString(), field.metadata.get("comment", ""))
                for field in fields
                if field.name not in {*about.primary_keys, timestamp}
            ),
            encodings=ENCODINGS.validate_json(properties.get("feature_table.encodings", "[]")),
        )

    def _lookup(self, table: FeatureTable, spine: Spine, lookup: FeatureLookup) -> Any:
        from databricks.feature_engineering import FeatureLookup as ClientLookup

        days = lookup.lookback_days
        return ClientLookup(
            table_name=self._full(table.name),
            lookup_key=list(table.keys),
            feature_names=list(lookup.features),
            timestamp_lookup_key=spine.timestamp,
            lookback_window=None if days is None else timedelta(days=days),
        )

    def _version(self, name: str, pinned: int | None = None) -> int:
        """The pinned version, or the newest, of a table that is there."""
        if not self.session.catalog.tableExists(self._quoted(name)):
            raise TableNotFound.named(name, self._listed("tables", "true"))
        if pinned is not None:
            return pinned
        try:
            (newest,) = self.session.sql(f"DESCRIBE HISTORY {self._quoted(name)} LIMIT 1").collect()
        except PySparkException as err:
            raise TableNotFound.at_version(name, None, err) from err
        return int(newest["version"])

    def _columns(self, name: str, version: int, columns: Sequence[str]) -> DataFrame:
        table = self._read(name, version)
        for column in columns:
            if column not in table.columns:
                raise FeatureNotFound.named(column, name, table.columns)
        return table.select(*columns)

    def _read(self, name: str, version: int) -> DataFrame:
        try:
            table = self.session.read.option("versionAsOf", str(version)).table(self._quoted(name))
            table.columns  # noqa: B018  (a session that is remote looks at the table only now)
        except PySparkException as err:
            raise TableNotFound.at_version(name, version, err) from err
        return table

    def _listed(self, view: str, condition: str) -> list[str]:
        rows = self.session.sql(
            f"SELECT table_schema, table_name FROM {_quote(self.catalog)}.information_schema.{view} "  # noqa: S608
            f"WHERE {condition} ORDER BY table_schema, table_name"
        ).collect()
        return [f"{row['table_schema']}.{row['table_name']}" for row in rows]

    def _full(self, name: str) -> str:
        return f"{self.catalog}.{TableName.parse(name)}"

    def _quoted(self, name: str) -> str:
        parsed = TableName.parse(name)
        return ".".join(map(_quote, (self.catalog, parsed.schema, parsed.table)))


def _require_joinable(table: FeatureTable, spine: Spine, lookup: FeatureLookup, taken: Sequence[str]) -> None:
    for key in table.keys:
        if key not in spine.keys:
            raise FeatureNotFound.named(key, f"the spine {spine.table}", spine.keys)
    known = [feature.name for feature in table.features]
    for feature in lookup.features:
        if feature not in known:
            raise FeatureNotFound.named(feature, table.name, known)
        if feature in taken:
            raise NameTaken.by(feature, table.name)


@contextmanager
def _translated(spine: str, tables: Sequence[str]) -> Iterator[None]:
    try:
        yield
    except (ValueError, PySparkException) as err:
        raise LookupRefused.by_the_client(spine, tables, err) from err


def _quote(identifier: str) -> str:
    escaped = identifier.replace("`", "``")
    return f"`{escaped}`"


def _conforms(store: DatabricksFeatureStore) -> FeatureStore:
    return store
