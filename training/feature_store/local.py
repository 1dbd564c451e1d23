"""The Feature Store on Delta tables in a folder, read through any Spark Connect engine."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from lakehouse.warehouse import TableName, Warehouse
from training.encoding import ENCODINGS
from training.feature_store import (
    Feature,
    FeatureLookup,
    FeatureNotFound,
    FeatureStore,
    FeatureTable,
    NoFeatureTable,
    Spine,
    Versions,
)
from training.feature_store.point_in_time import Side, as_of

_KEYS = "feature_table.primary_keys"


@dataclass(frozen=True)
class LocalFeatureStore:
    """Feature tables of one warehouse folder; what dbt published stands in the tables' own properties."""

    session: SparkSession
    warehouse: Warehouse

    def tables(self) -> list[FeatureTable]:
        names = [str(name) for name in self.warehouse.tables()]
        return [self.table(name) for name in names if _KEYS in self._properties(name)]

    def table(self, name: str, version: int | None = None) -> FeatureTable:
        log = self.warehouse.open(TableName.parse(name), version)
        properties = log.metadata().configuration
        if _KEYS not in properties:
            raise NoFeatureTable.named(name)
        described: dict[str, Any] = json.loads(properties["feature_table.features"])
        return FeatureTable(
            name=name,
            version=log.version(),
            description=properties["feature_table.description"],
            keys=tuple(json.loads(properties[_KEYS])),
            timestamp=properties["feature_table.timestamp_column"],
            known_at=properties.get("feature_table.known_at_column"),
            features=tuple(
                Feature(feature, about["data_type"], about["description"]) for feature, about in described.items()
            ),
            encodings=ENCODINGS.validate_json(properties.get("feature_table.encodings", "[]")),
        )

    def vocabulary(self, index_table: str, version: int | None = None) -> tuple[tuple[str, ...], int]:
        log = self.warehouse.open(TableName.parse(index_table), version)
        category, integer = (field.name for field in log.schema().fields)
        rows = self._read(index_table, log.version()).select(integer, category).collect()
        categories = {row[0]: row[1] for row in rows}
        return tuple(categories.get(i, "") for i in range(max(categories, default=0) + 1)), log.version()

    def training_frame(
        self, spine: Spine, lookups: Sequence[FeatureLookup], versions: Versions | None = None
    ) -> tuple[DataFrame, Versions]:
        pinned = {
            name: self.warehouse.open(TableName.parse(name), (versions or {}).get(name)).version()
            for name in [spine.table, *(lookup.table for lookup in lookups)]
        }
        sides = [self._side(lookup, pinned) for lookup in lookups]
        frame = self._columns(spine.table, pinned, [*spine.keys, spine.timestamp, spine.label])
        return as_of(frame, spine, sides), pinned

    def _side(self, lookup: FeatureLookup, pinned: Versions) -> Side:
        table = self.table(lookup.table, pinned[lookup.table])
        return Side(table, lookup, self._columns(table.name, pinned, [*table.keys, *table.times, *lookup.features]))

    def _columns(self, name: str, pinned: Versions, columns: Sequence[str]) -> DataFrame:
        table = self._read(name, pinned[name])
        for column in columns:
            if column not in table.columns:
                raise FeatureNotFound.named(column, name, table.columns)
        return table.select(*columns)

    def _read(self, name: str, version: int) -> DataFrame:
        location = str(self.warehouse.location(TableName.parse(name)))
        return self.session.read.format("delta").option("versionAsOf", str(version)).load(location)

    def _properties(self, name: str) -> dict[str, str]:
        properties: dict[str, str] = self.warehouse.open(TableName.parse(name)).metadata().configuration
        return properties


def _conforms(store: LocalFeatureStore) -> FeatureStore:
    return store
