"""The table of labels: which of its rows are labels that a run may count, and how many are not, by reason."""

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)

from deployment.monitoring.counting import CountPlan
from lakehouse.errors import LakehouseError
from training.population.bins import NOT_SENT
from training.use_case.monitoring import LabelSource

SEPARATOR = "\x1f"  # between the parts of a key; no text of a key has it


class LabelsRefused(LakehouseError):
    """The table of labels lacks a column."""

    @classmethod
    def columns(cls, table: str, missing: Sequence[str]) -> "LabelsRefused":
        return cls(
            f"the label table {table} has no column {' or '.join(missing)}",
            hint="Correct monitoring.labels in the use case.",
        )


def require_columns(labels: DataFrame, source: LabelSource) -> None:
    """Check that the table has every declared column.

    Raises:
        LabelsRefused: it lacks some.
    """
    needed = [source.column, *key_columns(source), *(each for each in (source.timestamp, source.known_at) if each)]
    if missing := [name for name in needed if name not in labels.columns]:
        raise LabelsRefused.columns(source.table, missing)


def key_columns(source: LabelSource) -> tuple[str, ...]:
    """Columns that name the request, or the entity."""
    return source.entity if source.request_id is None else (source.request_id,)


def key_of(record: dict[str, Any], entity: Sequence[str]) -> str | None:
    """The key of a record as Spark makes it of the label table's columns; None if a part is not sent or null."""
    values = [record.get(name, NOT_SENT) for name in entity]
    if any(value is None or value is NOT_SENT for value in values):
        return None
    return SEPARATOR.join(str(value).lower() if isinstance(value, bool) else str(value) for value in values)


def known_labels(labels: DataFrame, source: LabelSource, plan: CountPlan) -> DataFrame:
    """Labels that arrived by the end of the run, with their key, time and text; of several, the one known last.

    Returns:
        Rows with `label_key`, `stamped`, `known_at`, `label`, and `replaced`: the number of earlier labels.
    """
    key = F.concat_ws(SEPARATOR, *(F.col(name).cast("string") for name in key_columns(source)))
    rows = labels.where(~_incomplete(source)).select(
        key.alias("label_key"),
        _micros(source.timestamp).alias("stamped"),
        _micros(source.known_at).alias("known_at"),
        F.col(source.column).cast("string").alias("label"),
    )
    if source.known_at:
        rows = rows.where(F.col("known_at") <= F.lit(plan.now))
    if source.request_id is None and not source.is_named_by_key:
        return rows.withColumn("replaced", F.lit(0).cast("long"))
    if source.is_named_by_key:  # a label table of forecasts has a row for each origin
        rows = rows.distinct()
    newest = F.max(F.struct(F.coalesce("known_at", F.lit(0)).alias("known"), "stamped", "known_at", "label"))
    grouped = rows.groupBy("label_key").agg(newest.alias("newest"), (F.count("label") - F.lit(1)).alias("replaced"))
    return grouped.select("label_key", "newest.stamped", "newest.known_at", "newest.label", "replaced")


def uncounted(labels: DataFrame, source: LabelSource, plan: CountPlan) -> tuple[int, int]:
    """Rows without a key, a label or a needed time, and complete rows that were not known by the end of the run."""
    incomplete = _incomplete(source)
    late = F.lit(False) if source.known_at is None else ~incomplete & (_micros(source.known_at) > F.lit(plan.now))
    sums = [F.sum(F.when(each, 1).otherwise(0)).alias(name) for name, each in (("gaps", incomplete), ("late", late))]
    (row,) = labels.agg(*sums).collect()
    return int(row["gaps"] or 0), int(row["late"] or 0)


def of_the_period(source: LabelSource, plan: CountPlan) -> Column:
    """True for a label between the start of the first window and the end of the run, and for one without a time."""
    time = "stamped" if source.timestamp else "known_at"
    if not (source.timestamp or source.known_at):
        return F.lit(True)
    inside = (F.col(time) >= F.lit(plan.first)) & (F.col(time) <= F.lit(plan.now))
    return F.coalesce(inside, F.lit(True))


def _incomplete(source: LabelSource) -> Column:
    needed = [source.column, *key_columns(source)]
    if source.known_at:
        needed.append(source.known_at)
    if source.request_id is None and source.timestamp:
        needed.append(source.timestamp)
    return reduce(or_, (F.col(name).isNull() for name in needed))


def _micros(name: str | None) -> Column:
    return F.lit(None).cast("long") if name is None else F.unix_micros(F.col(name).cast("timestamp"))
