"""The Feature Store on Delta tables in a folder, read through any Spark Connect engine."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)

from lakehouse.warehouse import TableName, Warehouse
from training.encoding import ENCODINGS
from training.feature_store import (
    Feature,
    FeatureLookup,
    FeatureNotFound,
    FeatureStore,
    FeatureTable,
    NameTaken,
    NoFeatureTable,
    Spine,
    Versions,
)

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
        frame = self._columns(spine.table, pinned, [*spine.keys, spine.timestamp, spine.label])
        for lookup in lookups:
            frame = self._as_of(frame, spine, lookup, pinned)
        return frame.orderBy(spine.timestamp, *spine.keys, spine.label), pinned

    def _as_of(self, frame: DataFrame, spine: Spine, lookup: FeatureLookup, pinned: Versions) -> DataFrame:
        """The frame with the newest features at or before each row's time: one sort of both sides together.

        A row carries all its columns through the sort. Joining the result back by a row number would be wrong: an
        engine may number the rows anew on each of the two ways through its plan.
        """
        table = self.table(lookup.table, pinned[lookup.table])
        for key in table.keys:
            if key not in spine.keys:
                raise FeatureNotFound.named(key, f"the spine {spine.table}", spine.keys)
        for feature in lookup.features:
            if feature in frame.columns:
                raise NameTaken.by(feature, table.name)
        features = self._columns(table.name, pinned, [*table.keys, table.timestamp, *lookup.features])
        row, values = F.struct(*frame.columns), F.struct(*lookup.features)
        sides = frame.select(
            *table.keys,
            F.col(spine.timestamp).alias("_at"),
            row.alias("_row"),
            F.lit(None).cast("timestamp").alias("_known"),
            F.lit(None).cast(features.select(values).schema[0].dataType).alias("_values"),
        ).unionAll(
            features.select(
                *table.keys,
                F.col(table.timestamp).alias("_at"),
                F.lit(None).cast(frame.select(row).schema[0].dataType).alias("_row"),
                F.col(table.timestamp).alias("_known"),
                values.alias("_values"),
            )
        )
        # At equal times the features come first: what is known at a time counts at that time.
        until_now = (
            Window.partitionBy(*table.keys)
            .orderBy(F.col("_at"), F.col("_row").isNotNull())
            .rowsBetween(Window.unboundedPreceding, Window.currentRow)
        )
        newest = sides.select(
            "_row",
            "_at",
            F.last("_known", ignorenulls=True).over(until_now).alias("_known"),
            F.last("_values", ignorenulls=True).over(until_now).alias("_values"),
        ).where(F.col("_row").isNotNull())
        fresh = _is_fresh(lookup)
        return newest.select(
            "_row.*", *(F.when(fresh, F.col("_values")[name]).alias(name) for name in lookup.features)
        )

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


def _is_fresh(lookup: FeatureLookup) -> Column:
    if lookup.lookback_days is None:
        return F.lit(True)
    return F.col("_known") >= F.col("_at") - F.expr(f"interval {lookup.lookback_days} days")


def _conforms(store: LocalFeatureStore) -> FeatureStore:
    return store
