"""The local feature store: Delta tables in a folder.

DuckDB reads them in this process. Another Spark Connect server than the embedded engine joins frames itself, where it
has the memory and the cores.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import duckdb
from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession

from lakehouse.tables.collation import without_collations
from lakehouse.tables.commits import commits
from lakehouse.tables.online_store import (
    OnlineStore,
    PublishedTable,
    Source,
)
from lakehouse.tables.scan import FileScan, MemoryScan, Scan, delta_schema, open_duckdb, quoted
from lakehouse.tables.warehouse import TableName, TableNotFound, Warehouse
from lakehouse.tables.writer_lock import WriterLock
from training.feature_store.asof_join import ScannedTable, asof_join
from training.feature_store.errors import FeatureNotFound, NotAFeatureTable, TableExists
from training.feature_store.joined_rows import JoinedRows, SparkRows
from training.feature_store.online_rows import key_kinds, online_rows, require_numbers
from training.feature_store.point_in_time import Side, newest_rows, point_in_time_join, require_joinable, to_micros
from training.feature_store.reading import EPOCH, Properties, categories
from training.feature_store.store import FeatureStore, Unreadable
from training.feature_store.tables import Feature, FeatureLookup, FeatureTable, Snapshot, Spine, Versions

_KEYS = "feature_table.primary_keys"
ONLINE = ".online"  # below the warehouse


@dataclass(frozen=True)
class LocalFeatureStore:
    """Feature tables of one warehouse folder; dbt publishes their declarations as table properties.

    Attributes:
        joins_in_engine: False if this process joins frames, by DuckDB; True if the engine does, by windows.
    """

    open_session: Callable[[], SparkSession]
    warehouse: Warehouse
    joins_in_engine: bool = False

    @cached_property
    def session(self) -> SparkSession:
        """The session of the engine, opened when it is first needed."""
        return self.open_session()

    def tables(self, unreadable: Unreadable | None = None) -> list[FeatureTable]:
        found = list[FeatureTable]()
        for name in map(str, self.warehouse.tables()):
            try:
                if _KEYS in self._properties(name):
                    found.append(self.table(name))
            except TableNotFound as err:
                if unreadable is None:
                    raise
                unreadable(name, err)
        return found

    def table(self, name: str, version: int | None = None) -> FeatureTable:
        log = self.warehouse.open(TableName.parse(name), version)
        properties = log.metadata().configuration
        published = Properties(properties)
        if _KEYS not in properties:
            raise NotAFeatureTable.named(name)
        described: dict[str, Any] = json.loads(properties["feature_table.features"])
        timestamp = properties["feature_table.timestamp_column"]
        max_age = published.max_age
        return FeatureTable(
            name=name,
            version=log.version(),
            description=properties["feature_table.description"],
            keys=tuple(json.loads(properties[_KEYS])),
            timestamp=timestamp,
            max_age=max_age,
            newest=self._newest(name, log, timestamp) if max_age else None,
            known_at=published.known_at,
            features=tuple(
                Feature(feature, column["data_type"], column["description"]) for feature, column in described.items()
            ),
            encodings=published.encodings,
        )

    def vocabulary(self, index_table: str, version: int | None = None) -> tuple[tuple[str, ...], int]:
        log = self.warehouse.open(TableName.parse(index_table), version)
        with open_duckdb() as connection:
            scan = self._scan(connection, index_table, log)
            columns = [
                values.to_pylist() for values in scan.batches(connection, scan.schema.names).read_all().columns
            ]
        return categories(zip(*columns, strict=True)), log.version()

    def training_frame(
        self, spine: Spine, lookups: Sequence[FeatureLookup], versions: Versions | None = None
    ) -> tuple[JoinedRows, Versions]:
        logs = {
            name: self.warehouse.open(TableName.parse(name), (versions or {}).get(name))
            for name in [spine.table, *(lookup.table for lookup in lookups)]
        }
        pinned = {name: log.version() for name, log in logs.items()}
        if self.joins_in_engine:
            sides = [self._side(lookup, pinned) for lookup in lookups]
            frame = self._columns(spine.table, pinned, spine.columns)
            return SparkRows(point_in_time_join(frame, spine, sides), spine.order), pinned
        tables = [(self.table(lookup.table, pinned[lookup.table]), lookup) for lookup in lookups]
        for table, lookup in tables:
            known = delta_schema(logs[table.name]).names
            _require_columns(table.name, known, [*table.keys, *table.times, *lookup.features])
        _require_columns(spine.table, delta_schema(logs[spine.table]).names, spine.columns)
        require_joinable(spine, tables)
        with open_duckdb() as connection:
            scans = {name: self._scan(connection, name, log) for name, log in logs.items()}
            scanned = [ScannedTable(table, lookup, scans[table.name]) for table, lookup in tables]
            return asof_join(spine, scans[spine.table], scanned, self.open_session, connection), pinned

    def snapshot(self, name: str, version: int) -> Snapshot:
        parsed = TableName.parse(name)
        log = self.warehouse.open(parsed, version)
        location, table_id = str(self.warehouse.location(parsed)), str(log.metadata().id)
        columns = {column.name: column.dataType.simpleString() for column in delta_schema(log).fields}
        return Snapshot(name, version, location, table_id, log.count(), columns)

    def rows(self, name: str) -> DataFrame:
        return self._read(name, self.warehouse.open(TableName.parse(name)).version())

    def create(self, name: str, rows: DataFrame) -> None:
        """Create a table with all of these rows; on failure no table is left.

        Raises:
            TableExists: a table of that name exists.
            WarehouseBusy, WarehouseUnwritable: another process writes, or the folder is not writable.
        """
        parsed = TableName.parse(name)
        location = self.warehouse.location(parsed)
        self.warehouse.require_writable()
        lock = WriterLock.on(self.warehouse.root)
        try:
            if parsed in self.warehouse.tables(parsed.schema):
                raise TableExists.named(name)
            shutil.rmtree(location, ignore_errors=True)  # files of an interrupted write
            without_collations(rows).write.format("delta").save(str(location))
        finally:
            lock.release()

    def publish(self, name: str) -> PublishedTable:
        table = self.table(name)
        columns = tuple(feature.name for feature in table.features)
        names = tuple(feature for column in columns for feature in table.vectors.get(column, (column,)))
        require_numbers(table, self._columns(name, {name: table.version}, columns))
        kinds = key_kinds(table, self._columns(name, {name: table.version}, table.keys))
        table_id = str(self.warehouse.open(TableName.parse(name), table.version).metadata().id)
        with OnlineStore(self.warehouse.root / ONLINE) as online:
            current = online.published(name)
            published_as = current and (current.table_id, current.features, *current.keys.items())
            if published_as != (table_id, names, *kinds.items()):
                current = None  # published from another table
            if current and current.version == table.version:
                return current
            # An online row lacks `known_at`, which decides between two rows of one timestamp: rebuild.
            base = current if table.known_at is None else None
            appended = self._appended(name, base.version, table.version) if base else None
            rows = self._read(name, table.version) if appended is None else appended
            newest = newest_rows(table, rows).select(*table.keys, to_micros(table.timestamp), *columns)
            with online.publication(
                name, names, table.version, rebuild=appended is None, source=Source(table_id, kinds)
            ) as publication:
                publication.put(online_rows(newest, len(table.keys), table.vectors))
            published = online.published(name)
        assert published is not None  # noqa: S101  (it was just committed)
        return published

    def _appended(self, name: str, before: int, now: int) -> DataFrame | None:
        """Rows appended between two versions; None if rows were also removed, or if their files are gone."""
        parsed = TableName.parse(name)
        location, since = self.warehouse.location(parsed), list(commits(self.warehouse.location(parsed), before + 1))
        since = [commit for commit in since if commit.version <= now]
        if before > now or [commit.version for commit in since] != list(range(before + 1, now + 1)):
            return None  # the log was cleaned up, or the table was restored
        if self.warehouse.open(parsed, now).metadata().partition_columns:
            return None  # partition values are only in the names of the files
        # A compaction writes rows into new files, and the files that first held them stay for a time.
        new = sorted(location / path for commit in since for path in commit.new)
        if any(commit.removes_rows for commit in since) or not all(file.exists() for file in new):
            return None
        return self.session.read.parquet(*map(str, new)) if new else self._read(name, now).limit(0)

    def _side(self, lookup: FeatureLookup, pinned: Versions) -> Side:
        table = self.table(lookup.table, pinned[lookup.table])
        return Side(table, lookup, self._columns(table.name, pinned, [*table.keys, *table.times, *lookup.features]))

    def _columns(self, name: str, pinned: Versions, columns: Sequence[str]) -> DataFrame:
        table = self._read(name, pinned[name])
        _require_columns(name, table.columns, columns)
        return table.select(*columns)

    def _scan(self, connection: duckdb.DuckDBPyConnection, name: str, log: DeltaTable) -> Scan:
        """Files of a plain snapshot; other snapshots are read by the engine, whose rows are then in memory."""
        return FileScan.of(connection, log) or MemoryScan(
            self._read(name, log.version()).toArrow(), delta_schema(log)
        )

    def _newest(self, name: str, log: DeltaTable, timestamp: str) -> datetime | None:
        """Time of the newest row in UTC; None if the table is empty."""
        with open_duckdb() as connection:
            rows = self._scan(connection, name, log).relation(connection, [timestamp])
            newest = f"SELECT epoch_us(max({quoted(timestamp)}::TIMESTAMP WITH TIME ZONE)) FROM ({rows})"  # noqa: S608
            ((micros,),) = connection.sql(newest).fetchall()
        return None if micros is None else EPOCH + timedelta(microseconds=micros)

    def _read(self, name: str, version: int) -> DataFrame:
        location = str(self.warehouse.location(TableName.parse(name)))
        return self.session.read.format("delta").option("versionAsOf", str(version)).load(location)

    def _properties(self, name: str) -> dict[str, str]:
        properties: dict[str, str] = self.warehouse.open(TableName.parse(name)).metadata().configuration
        return properties


def _require_columns(table: str, known: Sequence[str], columns: Sequence[str]) -> None:
    for column in columns:
        if column not in known:
            raise FeatureNotFound.named(column, table, known)


def _conforms(store: LocalFeatureStore) -> FeatureStore:
    return store
