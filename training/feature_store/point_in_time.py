"""The point-in-time join: each row of a spine with the newest features known at its time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)

from training.feature_store.errors import DuplicateColumn, DuplicateKey, FeatureNotFound
from training.feature_store.key_types import cast_keys, compared_types, with_one_zero
from training.feature_store.tables import FeatureLookup, FeatureTable, Spine

_DAY = 86_400_000_000  # microseconds


@dataclass(frozen=True)
class Side:
    """A feature table to join, with its rows: keys, times and the features of the lookup."""

    table: FeatureTable
    lookup: FeatureLookup
    rows: DataFrame


def point_in_time_join(frame: DataFrame, spine: Spine, sides: Sequence[Side]) -> DataFrame:
    """Join the features of every side to a spine; the frame is sorted by time and key.

    For each side, one sort of only keys and times finds the newest time. The features are then fetched by key and
    time, which costs a fraction of carrying them through the sort.

    Raises:
        FeatureNotFound: the spine lacks a key of a table.
        DuplicateColumn: two columns would have the same name.
        KeyTypesDiffer: the spine and a table have a key in different types.
        DuplicateKey: a table has several rows of one key and time.
    """
    names = require_joinable(spine, [(side.table, side.lookup) for side in sides])
    types = compared_types(spine, frame.schema, [(side.table, side.rows.schema) for side in sides])
    given = {key: frame.schema[key].dataType for key in types}
    sides = [replace(side, rows=with_one_zero(cast_keys(side.rows, types), side.table.keys)) for side in sides]
    frame = with_one_zero(cast_keys(frame, types), list(types))
    for side in sides:
        require_unique(side.table, side.rows)
    for number, side in enumerate(sides):
        frame = _with_newest(frame, spine, side, f"_newest_{number}")
    for number, side in enumerate(sides):
        frame = _with_features(frame, spine, side, f"_newest_{number}")
    return cast_keys(frame, given).select(*names).orderBy(*spine.order)


def newest_rows(table: FeatureTable, rows: DataFrame) -> DataFrame:
    """The newest row of each key.

    Raises:
        DuplicateKey: a key has several newest rows.
    """
    marked = rows.withColumn("_newness", _newness(table))
    newest = marked.groupBy(*table.keys).agg(F.max("_newness").alias("_newness"))
    newest_of_key = marked.join(newest, [*table.keys, "_newness"], "left_semi").drop("_newness")
    require_unique(table, newest_of_key)
    return newest_of_key


def require_joinable(spine: Spine, lookups: Sequence[tuple[FeatureTable, FeatureLookup]]) -> list[str]:
    """Check that every column of the frame exists exactly once, and return the names.

    Raises:
        FeatureNotFound: the spine lacks a key of a table, or a table lacks a feature.
        DuplicateColumn: two columns would have the same name.
    """
    names = list(spine.columns)
    for table, lookup in lookups:
        known = [feature.name for feature in table.features]
        for key in table.keys:
            if key not in spine.keys:
                raise FeatureNotFound.named(key, f"the spine {spine.table}", spine.keys)
        for feature in lookup.features:
            if feature not in known:
                raise FeatureNotFound.named(feature, table.name, known)
            if feature in names:
                raise DuplicateColumn.by(feature, table.name)
            names.append(feature)
        if lookup.marker is not None:
            names.append(lookup.marker)
    return names


def require_unique(table: FeatureTable, rows: DataFrame) -> None:
    """Check that a key has at most one row at a time, since no rule decides between two.

    Raises:
        DuplicateKey: a key has several rows at a time.
    """
    key = [*table.keys, *table.times]
    hashes = rows.select(F.xxhash64(*key).alias("_hash"), *key)
    suspects = hashes.groupBy("_hash").count().where("count > 1").select("_hash")
    if suspects.limit(1).count():
        doubled = hashes.join(suspects, "_hash", "left_semi").groupBy(*key).count().where("count > 1")
        texts = [F.col(name).cast("string").alias(name) for name in key]  # a client shows times in its time zone
        for row in doubled.orderBy(*key).limit(1).select(*texts, "count").collect():
            raise DuplicateKey.at(table.name, {name: row[name] for name in key}, row["count"])


def _with_newest(frame: DataFrame, spine: Spine, side: Side, name: str) -> DataFrame:
    """Add to each row of the frame the time of the newest features known at its time.

    The sort carries few columns, because a table has many times the rows of a frame. `_order` is 2 * time for rows
    of the table and 2 * time + 1 for rows of the frame, so that features known at a time count at that time. The
    frame's time is restored from it, and also the newness of a table with one time column.
    """
    keys, table = side.table.keys, side.table
    types = {field.name: field.dataType for field in frame.schema}
    carried = [column for column in frame.columns if column not in (*keys, spine.timestamp)]
    known = F.greatest(*(to_micros(time) for time in (table.timestamp, *table.times)))
    looked_up = [
        *map(F.col, keys),
        (to_micros(spine.timestamp) * 2 + 1).alias("_order"),
        *(F.col(column).alias(f"_{column}") for column in carried),
    ]
    features = [
        *map(F.col, keys),
        (known * 2).alias("_order"),
        *(F.lit(None).cast(types[column]).alias(f"_{column}") for column in carried),
    ]
    newness = F.when(F.col("_order") % 2 == 0, _half("_order"))
    if table.known_at:
        newness = F.col("_newness")
        newness_type = side.rows.select(_newness(table)).schema[0].dataType
        looked_up.append(F.lit(None).cast(newness_type).alias("_newness"))
        features.append(_newness(table).alias("_newness"))
    sides = frame.select(*looked_up).unionAll(side.rows.where(known.isNotNull()).select(*features))
    until_now = Window.partitionBy(*keys).orderBy("_order").rowsBetween(Window.unboundedPreceding, Window.currentRow)
    newest = sides.withColumn(name, F.max(newness).over(until_now)).where(
        # A row of the spine without a time stays in the frame; load_frame refuses it.
        F.col("_order").isNull() | (F.col("_order") % 2 != 0)
    )
    time = F.timestamp_micros(_half("_order")).cast(types[spine.timestamp])
    restored = {spine.timestamp: time} | {key: F.col(key) for key in keys} | {c: F.col(f"_{c}") for c in carried}
    return newest.select(*(restored[column].alias(column) for column in frame.columns), name)


def _with_features(frame: DataFrame, spine: Spine, side: Side, newest: str) -> DataFrame:
    keys, features = side.table.keys, side.lookup.features
    renamed = side.rows.select(
        *(F.col(key).alias(f"_{key}") for key in keys),
        _newness(side.table).alias("_newness"),
        to_micros(side.table.timestamp).alias("_since"),
        *features,
    )
    conditions = [F.col(key) == F.col(f"_{key}") for key in keys]
    conditions.append(F.col(newest) == F.col("_newness"))
    if side.lookup.lookback_days is not None:
        conditions.append(F.col("_since") >= to_micros(spine.timestamp) - side.lookup.lookback_days * _DAY)
    joined = frame.join(renamed, reduce(Column.__and__, conditions), "left")
    marker = [F.when(F.col("_since").isNotNull(), True).alias(name) for name in (side.lookup.marker,) if name]
    return joined.select(*(column for column in frame.columns if column != newest), *features, *marker)


def _newness(table: FeatureTable) -> Column:
    """A value that is greater for the newer of two rows: one number if one time decides, which sorts much faster."""
    times = [to_micros(time) for time in table.times]
    return F.struct(*(time.alias(f"_{index}") for index, time in enumerate(times))) if table.known_at else times[0]


def to_micros(time: str) -> Column:
    """A time as microseconds since 1970."""
    return F.unix_micros(F.col(time).cast("timestamp"))


def _half(order: str) -> Column:
    return F.shiftright(order, 1)
