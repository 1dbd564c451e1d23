"""The point-in-time join: each row of a spine with the newest features that were known at its time."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)

from training.feature_store import (
    FeatureLookup,
    FeatureNotFound,
    FeatureTable,
    KeyDoubled,
    NameTaken,
    Spine,
)

_DAY = 86_400_000_000  # microseconds


@dataclass(frozen=True)
class Side:
    """A feature table to join, and its rows: keys, times and the features of the look-up."""

    table: FeatureTable
    lookup: FeatureLookup
    rows: DataFrame


def as_of(frame: DataFrame, spine: Spine, sides: Sequence[Side]) -> DataFrame:
    """The frame of a spine with the features of every side, ordered by time and key.

    For each side, one sort of keys and times alone finds the newest time; the features are fetched by key and time
    afterwards, which costs a fraction of carrying them through the sort.

    Raises:
        FeatureNotFound: a key of a table is not in the spine.
        NameTaken: two columns would have one name.
        KeyDoubled: a table has several rows of one key and time.
    """
    names = require_joinable(spine, [(side.table, side.lookup) for side in sides])
    for side in sides:
        require_unique(side.table, side.rows)
    for number, side in enumerate(sides):
        frame = _with_newest(frame, spine, side, f"_newest_{number}")
    for number, side in enumerate(sides):
        frame = _with_features(frame, spine, side, f"_newest_{number}")
    return frame.select(*names).orderBy(*spine.order)


def newest_rows(table: FeatureTable, rows: DataFrame) -> DataFrame:
    """The newest row of each key.

    Raises:
        KeyDoubled: a key has several newest rows.
    """
    marked = rows.withColumn("_newness", _newness(table))
    newest = marked.groupBy(*table.keys).agg(F.max("_newness").alias("_newness"))
    found = marked.join(newest, [*table.keys, "_newness"], "left_semi").drop("_newness")
    require_unique(table, found)
    return found


def require_joinable(spine: Spine, lookups: Sequence[tuple[FeatureTable, FeatureLookup]]) -> list[str]:
    """The names of the frame's columns, after making sure that each is there once.

    Raises:
        FeatureNotFound: a key of a table is not in the spine, or a feature not in its table.
        NameTaken: two columns would have one name.
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
                raise NameTaken.by(feature, table.name)
            names.append(feature)
    return names


def require_unique(table: FeatureTable, rows: DataFrame) -> None:
    """Make sure that a key has one row at a time: which of two would count, nobody has said.

    Raises:
        KeyDoubled: it has several.
    """
    key = [*table.keys, *table.times]
    hashes = rows.select(F.xxhash64(*key).alias("_hash"), *key)
    suspects = hashes.groupBy("_hash").count().where("count > 1").select("_hash")
    if suspects.limit(1).count():
        doubled = hashes.join(suspects, "_hash", "left_semi").groupBy(*key).count().where("count > 1")
        for row in doubled.orderBy(*key).limit(1).collect():
            raise KeyDoubled.at(table.name, {name: row[name] for name in key}, row["count"])


def _with_newest(frame: DataFrame, spine: Spine, side: Side, name: str) -> DataFrame:
    """The frame, and for each row the time of the newest features that were known at its time.

    The sort carries as few columns as it can, for a table has many times the rows of a frame: `_order` is twice a
    time, and one more of the frame, for what is known at a time counts at that time. It tells the frame's time again,
    and of a table with one time also the newness.
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
    found = [
        *map(F.col, keys),
        (known * 2).alias("_order"),
        *(F.lit(None).cast(types[column]).alias(f"_{column}") for column in carried),
    ]
    newness = F.when(F.col("_order") % 2 == 0, _half("_order"))
    if table.known_at:
        newness = F.col("_newness")
        kind = side.rows.select(_newness(table)).schema[0].dataType
        looked_up.append(F.lit(None).cast(kind).alias("_newness"))
        found.append(_newness(table).alias("_newness"))
    sides = frame.select(*looked_up).unionAll(side.rows.where(known.isNotNull()).select(*found))
    until_now = Window.partitionBy(*keys).orderBy("_order").rowsBetween(Window.unboundedPreceding, Window.currentRow)
    newest = sides.withColumn(name, F.max(newness).over(until_now)).where(
        # A row of a spine that has no time stays in the frame, where it is seen.
        F.col("_order").isNull() | (F.col("_order") % 2 != 0)
    )
    time = F.timestamp_micros(_half("_order")).cast(types[spine.timestamp])
    back = {spine.timestamp: time} | {key: F.col(key) for key in keys} | {c: F.col(f"_{c}") for c in carried}
    return newest.select(*(back[column].alias(column) for column in frame.columns), name)


def _with_features(frame: DataFrame, spine: Spine, side: Side, newest: str) -> DataFrame:
    keys, features = side.table.keys, side.lookup.features
    renamed = side.rows.select(
        *(F.col(key).alias(f"_{key}") for key in keys),
        _newness(side.table).alias("_newness"),
        to_micros(side.table.timestamp).alias("_since"),
        *features,
    )
    same = [F.col(key) == F.col(f"_{key}") for key in keys]
    same.append(F.col(newest) == F.col("_newness"))
    if side.lookup.lookback_days is not None:
        same.append(F.col("_since") >= to_micros(spine.timestamp) - side.lookup.lookback_days * _DAY)
    joined = frame.join(renamed, reduce(Column.__and__, same), "left")
    return joined.select(*(column for column in frame.columns if column != newest), *features)


def _newness(table: FeatureTable) -> Column:
    """What is greater of the newer of two rows: one number where one time decides, which sorts much faster."""
    times = [to_micros(time) for time in table.times]
    return F.struct(*(time.alias(f"_{place}") for place, time in enumerate(times))) if table.known_at else times[0]


def to_micros(time: str) -> Column:
    """A time as whole microseconds since 1970."""
    return F.unix_micros(F.col(time).cast("timestamp"))


def _half(order: str) -> Column:
    return F.shiftright(order, 1)
