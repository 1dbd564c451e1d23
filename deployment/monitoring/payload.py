"""Payload tables: ours, and the inference tables of Databricks, with the same columns after reading."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)
from pyspark.sql.types import TimestampNTZType, TimestampType

from deployment.monitoring.windows import micros_of
from lakehouse.errors import LakehouseError

# Columns after reading, in order; `at` is microseconds since 1970.
COLUMNS = ("at", "status", "duration_ms", "sampling", "request", "response", "served", "client_request_id")


class NoPayloadTable(LakehouseError):
    """There is no table of requests and responses."""

    @classmethod
    def named(cls, table: str, endpoint: str) -> "NoPayloadTable":
        return cls(
            f"the endpoint '{endpoint}' has no payload table: {table} does not exist",
            hint="Log its requests first: `python -m deployment.run replay --use-case NAME --input TABLE` sends "
            "rows and logs them; put_ai_gateway with an inference_table_config logs all requests (docs/serving.md). "
            "Or pass --table.",
        )

    @classmethod
    def columns(cls, table: str, missing: list[str]) -> "NoPayloadTable":
        return cls(
            f"{table} is no payload table: it has no column {' or '.join(missing)}",
            hint="Name the table of the endpoint's inference table with --table: SCHEMA.PREFIX_payload.",
        )


@dataclass(frozen=True)
class TableLayout:
    """Names of the columns in one kind of payload table, by our names."""

    columns: Mapping[str, str]

    def missing(self, rows: DataFrame) -> list[str]:
        """Columns that the table lacks."""
        return [name for name in self.columns.values() if name not in rows.columns]


AI_GATEWAY = TableLayout(
    {
        "at": "request_time",
        "status": "status_code",
        "duration_ms": "execution_duration_ms",
        "sampling": "sampling_fraction",
        "request": "request",
        "response": "response",
        "served": "served_entity_id",
        "client_request_id": "client_request_id",
    }
)
# The inference tables of before the AI gateway (`auto_capture_config`), which workspaces still have.
LEGACY = TableLayout(
    {
        "at": "timestamp_ms",
        "status": "status_code",
        "duration_ms": "execution_time_ms",
        "sampling": "sampling_fraction",
        "request": "request",
        "response": "response",
        "client_request_id": "client_request_id",
    }
)


def exchanges(rows: DataFrame, table: str, since: datetime) -> DataFrame:
    """The table's rows from a time on, with the columns of `COLUMNS`; rows without a time stay, to be counted.

    A value that is none of its column's kind becomes null: one such row must not end the run.

    Raises:
        NoPayloadTable: the table has other columns.
    """
    layout = next((each for each in (AI_GATEWAY, LEGACY) if not each.missing(rows)), None)
    if layout is None:
        raise NoPayloadTable.columns(table, AI_GATEWAY.missing(rows))
    names = layout.columns
    for date in ("request_date", "date"):  # partitions
        if date in rows.columns:
            rows = rows.where((F.col(date) >= F.lit(since.date())) | F.col(date).isNull())
    read = rows.select(
        _micros(rows, names["at"]).alias("at"),
        F.col(names["status"]).try_cast("int").alias("status"),
        F.col(names["duration_ms"]).try_cast("double").alias("duration_ms"),
        F.col(names["sampling"]).try_cast("double").alias("sampling"),
        F.col(names["request"]).cast("string").alias("request"),
        F.col(names["response"]).cast("string").alias("response"),
        (F.col(names["served"]) if "served" in names else F.lit(None)).cast("string").alias("served"),
        F.col(names["client_request_id"]).cast("string").alias("client_request_id"),
    )
    return read.where((F.col("at") >= F.lit(micros_of(since))) | F.col("at").isNull())


def _micros(rows: DataFrame, name: str) -> Column:
    if isinstance(rows.schema[name].dataType, TimestampType | TimestampNTZType):
        return F.unix_micros(F.col(name).cast("timestamp"))
    return (F.col(name).cast("decimal(38, 0)") * F.lit(1000)).try_cast("long")
