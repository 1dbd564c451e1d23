"""Homes of the feature store with a way to write tables, and a reference store in plain Python."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import DataFrame, SparkSession

from lakehouse.errors import nearest
from lakehouse.session import open_session
from lakehouse.tables.warehouse import TableNotFound, Warehouse
from scoring.encodings import ENCODINGS
from tests.contract.feature_store.unity_catalog import Table, Workspace
from training.feature_store.errors import (
    DuplicateColumn,
    DuplicateKey,
    FeatureNotFound,
    NotAFeatureTable,
    TableExists,
)
from training.feature_store.joined_rows import ArrowRows, JoinedRows
from training.feature_store.local import LocalFeatureStore
from training.feature_store.store import FeatureReader, FeatureStore, TableStore, Unreadable
from training.feature_store.tables import Feature, FeatureLookup, FeatureTable, Snapshot, Spine, Versions

SQL_TYPES = {
    pa.int64(): "bigint",
    pa.string(): "string",
    pa.float64(): "double",
    pa.list_(pa.float32()): "array<float>",
}


@dataclass(frozen=True)
class Declared:
    """Declaration of a feature table by its model; every other column is a feature."""

    keys: tuple[str, ...]
    timestamp: str = "known_at"
    known_at: str | None = None
    encodings: Sequence[Mapping[str, Any]] = ()

    def features(self, rows: pa.Table) -> list[str]:
        return [name for name in rows.column_names if name not in {*self.keys, self.timestamp, self.known_at}]

    @property
    def properties(self) -> dict[str, str]:
        encodings = {"feature_table.encodings": json.dumps(list(self.encodings))}
        return encodings | ({"feature_table.known_at_column": self.known_at} if self.known_at else {})


class StoreUnderTest(FeatureReader, TableStore, Protocol):
    """The parts of a feature store that all homes here implement; publication has tests of its own."""


class Home(Protocol):
    """A store, and a way to write the next version of one of its tables."""

    @property
    def store(self) -> StoreUnderTest: ...

    def write(self, name: str, rows: pa.Table, declared: Declared | None = None) -> None: ...


@dataclass(frozen=True)
class LocalHome:
    session: SparkSession
    root: Path
    joins_in_engine: bool = False

    @property
    def store(self) -> LocalFeatureStore:
        return LocalFeatureStore(lambda: self.session, Warehouse(self.root), self.joins_in_engine)

    def write(self, name: str, rows: pa.Table, declared: Declared | None = None) -> None:
        location = self.root.joinpath(*name.split("."))
        write_deltalake(location, rows, mode="overwrite", schema_mode="overwrite")
        if declared:
            features = {
                feature: {"data_type": SQL_TYPES[rows.schema.field(feature).type], "description": f"Its {feature}."}
                for feature in declared.features(rows)
            }
            published = {
                "feature_table.primary_keys": json.dumps(declared.keys),
                "feature_table.timestamp_column": declared.timestamp,
                "feature_table.description": f"About {name}.",
                "feature_table.features": json.dumps(features),
            }
            DeltaTable(location).alter.set_table_properties(
                published | declared.properties, raise_if_not_exists=False
            )


@dataclass(frozen=True)
class DatabricksHome:
    workspace: Workspace

    @property
    def store(self) -> FeatureStore:
        return self.workspace.store

    def write(self, name: str, rows: pa.Table, declared: Declared | None = None) -> None:
        table = self.workspace.tables.setdefault(name, Table([]))
        table.versions.append(rows)
        if declared:
            known_at = (declared.known_at,) if declared.known_at else ()
            table.keys, table.timestamp = (*declared.keys, *known_at), declared.timestamp
            table.description = f"About {name}."
            table.comments = {feature: f"Its {feature}." for feature in declared.features(rows)}
            table.properties = declared.properties


@dataclass(frozen=True)
class PlainHome:
    """A reference store in memory, with each rule as the shortest Python."""

    written: dict[str, list[tuple[pa.Table, Declared | None]]] = field(default_factory=dict)

    @property
    def store(self) -> StoreUnderTest:
        return self

    def write(self, name: str, rows: pa.Table, declared: Declared | None = None) -> None:
        self.written.setdefault(name, []).append((rows, declared))

    def tables(self, unreadable: Unreadable | None = None) -> list[FeatureTable]:
        del unreadable  # a dictionary can always be read
        return [self.table(name) for name in sorted(self.written) if self.written[name][-1][1]]

    def table(self, name: str, version: int | None = None) -> FeatureTable:
        rows, declared, number = self._at(name, version)
        if declared is None:
            raise NotAFeatureTable.named(name)
        types = {field.name: SQL_TYPES.get(field.type, "") for field in rows.schema}
        features = tuple(Feature(name, types[name], f"Its {name}.") for name in declared.features(rows))
        encodings = ENCODINGS.validate_python(declared.encodings)
        declaration = (declared.keys, declared.timestamp, features, encodings, declared.known_at)
        return FeatureTable(name, number, f"About {name}.", *declaration)

    def vocabulary(self, index_table: str, version: int | None = None) -> tuple[tuple[str, ...], int]:
        rows, _, number = self._at(index_table, version)
        by_integer = {index: category for category, index in zip(*(c.to_pylist() for c in rows.columns), strict=True)}
        return tuple(by_integer.get(index, "") for index in range(max(by_integer, default=0) + 1)), number

    def training_frame(
        self, spine: Spine, lookups: Sequence[FeatureLookup], versions: Versions | None = None
    ) -> tuple[JoinedRows, Versions]:
        names = list(spine.columns)
        labels, _, number = self._at(spine.table, (versions or {}).get(spine.table))
        for name in names:
            if name not in labels.column_names:
                raise FeatureNotFound.named(name, spine.table, labels.column_names)
        found = {name: labels[name].to_pylist() for name in names}
        types = {name: labels.schema.field(name).type for name in names}
        read = {spine.table: number}
        for lookup in lookups:
            table = self.table(lookup.table, (versions or {}).get(lookup.table))
            rows, _, read[table.name] = self._at(table.name, table.version)
            _require_joinable(table, spine, lookup, list(found))
            for row in range(labels.num_rows):
                entity = {name: found[name][row] for name in names}
                newest = _newest(table, lookup, rows.to_pylist(), spine, entity)
                for feature in lookup.features:
                    found.setdefault(feature, []).append(newest.get(feature))
                if lookup.marker:
                    found.setdefault(lookup.marker, []).append(True if newest else None)
            types |= {feature: rows.schema.field(feature).type for feature in lookup.features}
            types |= {lookup.marker: pa.bool_()} if lookup.marker else {}
        frame = pa.table({name: pa.array(found[name], types[name]) for name in types})
        order = [(name, "ascending") for name in spine.order]
        return ArrowRows(frame.sort_by(order)), read

    def snapshot(self, name: str, version: int) -> Snapshot:
        rows, _, _ = self._at(name, version)
        types = {field.name: SQL_TYPES.get(field.type, "") for field in rows.schema}
        return Snapshot(name, version, name, name, rows.num_rows, types)

    def rows(self, name: str) -> DataFrame:
        return open_session().createDataFrame(self._at(name, None)[0])

    def create(self, name: str, rows: DataFrame) -> None:
        if name in self.written:
            raise TableExists.named(name)
        self.write(name, rows.toArrow())

    def _at(self, name: str, version: int | None) -> tuple[pa.Table, Declared | None, int]:
        if name not in self.written:
            raise TableNotFound.named(name, sorted(self.written))
        number = len(self.written[name]) - 1 if version is None else version
        return (*self.written[name][number], number)


def _require_joinable(table: FeatureTable, spine: Spine, lookup: FeatureLookup, taken: list[str]) -> None:
    for key in table.keys:
        if key not in spine.keys:
            raise FeatureNotFound.named(key, f"the spine {spine.table}", spine.keys)
    known = [feature.name for feature in table.features]
    for feature in lookup.features:
        if feature not in known:
            raise FeatureNotFound(f"{table.name} has no column '{feature}'. {nearest(feature, known)}")
        if feature in taken:
            raise DuplicateColumn.by(feature, table.name)


def _newest(
    table: FeatureTable, lookup: FeatureLookup, rows: list[dict[str, Any]], spine: Spine, entity: Mapping[str, Any]
) -> dict[str, Any]:
    at = entity[spine.timestamp]
    versions = [{name: row[name] for name in (*table.keys, *table.times)} for row in rows]
    for doubled in (version for version in versions if versions.count(version) > 1):
        raise DuplicateKey.at(table.name, doubled, versions.count(doubled))
    same = (row for row in rows if all(row[key] == entity[key] for key in table.keys))
    known = [row for row in same if all(row[time] <= at for time in table.times)]
    newest = max(known, key=lambda row: [row[time] for time in table.times], default={})
    days = lookup.lookback_days
    too_old = newest and days is not None and (at - newest[table.timestamp]).total_seconds() > days * 86_400
    return {} if too_old else newest
