"""Activity of each customer over the last 7, 30 and 90 days, on every day on which it changes.

A sum over the last 30 days changes when an event enters or leaves the window. So a row at each such day is correct
until the next one, for a lookup at any time. An event enters on the day after it became known, however late it is, so
a written row never changes.

The file imports nothing of this project: on Databricks it runs as a notebook on serverless compute, which does not
have the project's packages.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)

LONGEST, EPOCH = 90, date(1970, 1, 1).toordinal()
BEFORE_THE_FIRST = -1  # the day before the first
WINDOWS = {"orders": (7, 30, LONGEST), "revenue": (7, 30, LONGEST), "complaints": (LONGEST,)}
FEATURES = (
    "customer_id bigint, as_of timestamp, recency_days int, orders_7d int, orders_30d int, orders_90d int, "
    "revenue_7d double, revenue_30d double, revenue_90d double, revenue_trend double, complaints_90d int"
)
PORTION = 50_000  # events processed at a time
DAYS = 1 << 20  # larger than any day since 1970: combines entity and day into one number


@dataclass(frozen=True)
class Events:
    """Events of entities; every array is (events,).

    Attributes:
        entity: entity of the event.
        day: day of the event, in days since 1970.
        known: day on which it became known, in days since 1970.
        measures: contribution to each measure; integers, so that additions and subtractions cancel exactly.
    """

    entity: Any
    day: Any
    known: Any
    measures: Mapping[str, Any]


@dataclass(frozen=True)
class Changes:
    """Sums after each change; every array is (rows,), sorted by entity and day.

    Attributes:
        as_of: days since 1970; the sums include events that were known before that day started.
        sums: sums by measure and window length in days.
    """

    entity: Any
    as_of: Any
    sums: Mapping[tuple[str, int], Any]


def model(dbt: Any, session: SparkSession) -> DataFrame:
    sources = [
        sign_ups(dbt.ref("stg_customers")),
        orders(dbt.ref("stg_orders")),
        complaints(dbt.ref("stg_contacts")),
    ]
    # The last day of a delivery may not be over.
    end = last_day(dbt.ref("stg_orders"), "known_at")
    begin = BEFORE_THE_FIRST
    if dbt.is_incremental:
        begin = last_day(session.table(str(dbt.this)), "as_of")
        # Events that had left every window by then cannot change a later row. An event enters on the day after the
        # later of its two times.
        since = F.lit(date.fromordinal(begin + EPOCH - LONGEST))
        sources = [events.where(F.greatest("at", "known_at") >= since) for events in sources]

    def change(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for events in portions(batches):
            yield from features(changes(events, WINDOWS, begin, end)).to_batches(max_chunksize=8_192)

    landed = reduce(DataFrame.unionAll, map(in_day_numbers, sources))
    return landed.repartition("customer_id").mapInArrow(change, FEATURES)


def sign_ups(customers: DataFrame) -> DataFrame:
    """Sign-up of each customer, from the first record: an event without any measure that starts the activity."""
    first = customers.groupBy("customer_id").agg(
        F.min_by("signed_up_at", "known_at").alias("at"), F.min("known_at").alias("known_at")
    )
    return first.select("*", *measures())


def orders(landed: DataFrame) -> DataFrame:
    accepted = landed.where(F.col("refused_because").isNull())
    return accepted.select(
        "customer_id", F.col("ordered_at").alias("at"), "known_at", *measures(orders=F.lit(1), revenue="amount_cents")
    )


def complaints(contacts: DataFrame) -> DataFrame:
    rows = contacts.where(F.col("kind") == "complaint")
    return rows.select("customer_id", F.col("contacted_at").alias("at"), "known_at", *measures(complaints=F.lit(1)))


def measures(**added: Any) -> list[Any]:
    """Columns with the amount that an event adds to each measure; 0 if not passed."""
    values = {name: added.get(name, F.lit(0)) for name in WINDOWS}
    return [
        (F.col(value) if isinstance(value, str) else value).cast("bigint").alias(name)
        for name, value in values.items()
    ]


def in_day_numbers(events: DataFrame) -> DataFrame:
    """Events with days since 1970 instead of timestamps."""
    return events.select(
        "customer_id", day_number("at").alias("day"), day_number("known_at").alias("known"), *WINDOWS
    )


def portions(batches: Iterator[pa.RecordBatch]) -> Iterator[Events]:
    """Yield the events of a few customers at a time, so that memory holds one portion only."""
    columns = in_memory(batches)
    if not columns:
        return
    order = np.argsort(columns["customer_id"])
    customers = columns["customer_id"][order]
    ends = np.searchsorted(customers, customers[PORTION::PORTION], side="right")
    for rows in np.split(order, ends):
        events = {name: column[rows].astype(np.int64) for name, column in columns.items()}
        yield Events(events["customer_id"], events["day"], events["known"], {name: events[name] for name in WINDOWS})


def in_memory(batches: Iterator[pa.RecordBatch]) -> dict[str, Any]:
    landed = list(batches)
    rows = pa.Table.from_batches(landed) if landed else pa.table({})
    return {name: rows[name].to_numpy() for name in rows.column_names}


def features(activity: Changes) -> pa.Table:
    orders = {days: activity.sums["orders", days] for days in WINDOWS["orders"]}
    revenue = {days: activity.sums["revenue", days] / 100 for days in WINDOWS["revenue"]}
    recency = np.select([orders[7] > 0, orders[30] > 0, orders[90] > 0], [0, 7, 30], 90)
    trend = revenue[30] - (revenue[90] - revenue[30]) / 2
    as_of = activity.as_of.astype("datetime64[D]").astype("datetime64[us]")
    columns = [
        pa.array(activity.entity),
        pa.array(as_of, pa.timestamp("us", tz="UTC")),
        pa.array(recency.astype(np.int32)),
        *(pa.array(orders[days].astype(np.int32)) for days in orders),
        *(pa.array(revenue[days]) for days in revenue),
        pa.array(trend),
        pa.array(activity.sums["complaints", 90].astype(np.int32)),
    ]
    return pa.Table.from_arrays(columns, names=[column.split()[0] for column in FEATURES.split(", ")])


def day_number(time: Any) -> Any:
    """Days since 1970, of a column with a timestamp."""
    return F.date_diff(F.to_date(time), F.lit(date.fromordinal(EPOCH)))


def last_day(rows: DataFrame, column: str) -> int:
    """Largest day number of a timestamp column; the day before the first if there is none."""
    # The engine counts the days, in UTC. A collected timestamp has the time zone of this process.
    day: int | None = rows.agg(day_number(F.max(column))).collect()[0][0]
    return BEFORE_THE_FIRST if day is None else day


def changes(events: Events, windows: Mapping[str, tuple[int, ...]], begin: int, end: int) -> Changes:
    """Every change with begin < as_of <= end.

    A window of w days as of day a includes the events of days a - w to a - 1 that were known before a.

    Args:
        events: at least all events that are later than `begin` or in the longest window at `begin`.
        windows: window lengths in days for each measure.
        begin: days since 1970.
        end: days since 1970.
    """
    lengths = sorted({length for each in windows.values() for length in each})
    enters = np.maximum(events.day, events.known) + 1
    days = np.stack([enters, *(np.maximum(events.day + 1 + length, enters) for length in lengths)])
    # Entities without a change in the period need no rows; in a short period that is most of them.
    changing = events.entity[np.any((days > begin) & (days <= end), axis=0)]
    relevant = np.isin(events.entity, changing)
    measures = {name: values[relevant] for name, values in events.measures.items()}
    rows, indices = np.unique(events.entity[relevant] * DAYS + days[:, relevant], return_inverse=True)
    entering, *leaving = indices.reshape(1 + len(lengths), -1)
    differences = {
        (measure, length): difference(entering, leaving[lengths.index(length)], measures[measure], len(rows))
        for measure, each in windows.items()
        for length in each
    }
    entity, as_of = np.divmod(rows, DAYS)
    # An event with only zero measures marks the existence of an entity, and gets a row without a change.
    exists = np.isin(np.arange(len(rows)), entering[~np.any([*measures.values()], axis=0)])
    changed = exists | np.any([*differences.values()], axis=0)
    in_period = changed & (as_of > begin) & (as_of <= end)
    sums = {name: running_sums(difference)[in_period] for name, difference in differences.items()}
    return Changes(entity[in_period], as_of[in_period], sums)


def difference(entering: Any, leaving: Any, values: Any, rows: int) -> Any:
    # Doubles represent integers exactly up to 2**53.
    added = np.bincount(entering, values, rows) - np.bincount(leaving, values, rows)
    return np.asarray(added.astype(np.int64))


def running_sums(difference: Any) -> Any:
    # One cumulative sum for all entities: each event leaves its window, so the sum is zero where an entity starts.
    return np.asarray(np.cumsum(difference), dtype=np.int64)
