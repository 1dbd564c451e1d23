"""Column types of a query as the engine computes them."""

from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, functions
from pyspark.sql.types import StructField, StructType, TimestampNTZType, TimestampType

from lakehouse.errors import LakehouseError

# Sail's type of a date and a timestamp in one column. Spark has none like it, but a timestamp holds its values.
_MIXED = "Timestamp(Nanosecond"


class MixedTimes(LakehouseError):
    """A column has dates in one branch and timestamps in another, and the engine takes it for a column of dates."""

    @classmethod
    def among(cls, columns: list[str]) -> "MixedTimes":
        return cls(
            f"one of the columns {', '.join(columns)} has dates in one branch of CASE, coalesce or UNION, and "
            "timestamps in another: the embedded engine would cut the times off",
            hint="Cast the dates to timestamps.",
        )


def executed_schema(rows: DataFrame) -> StructType:
    """Columns and types of the rows.

    `rows.schema` is Sail's analysis before it converts the branches of CASE, IF and UNION to one type. It says int
    for `select 1 union all select 2.5D`, whose rows are doubles, and a table of that type would lose the fraction.

    Raises:
        MixedTimes: a column of dates and timestamps would become one of dates.
        PySparkException: the rows cannot be computed.
    """
    try:
        return _executed(rows)
    except PySparkException as err:
        if _MIXED not in str(err):
            raise
    analysed = rows.schema.fields
    try:
        return _executed(rows.select([_column(field) for field in analysed]))
    except PySparkException as err:
        if _MIXED not in str(err):
            raise
        raise MixedTimes.among([field.name for field in analysed]) from err


def readable_schema(rows: DataFrame) -> StructType:
    """Columns and types to read the rows with: a column of dates and timestamps counts as dates.

    A write checks `executed_schema` before. The new rows of a snapshot have such a column; its table has the type.

    Raises:
        PySparkException: the rows cannot be computed.
    """
    try:
        return executed_schema(rows)
    except MixedTimes:
        return rows.schema


def _executed(rows: DataFrame) -> StructType:
    plan = rows.limit(0)
    execution: Any = plan._to_table  # PySpark has no public method that returns the schema of an execution
    executed: StructType | None = execution()[1]
    return executed if executed is not None else plan.schema


def _column(field: StructField) -> Any:
    column: Any = functions.col(f"`{field.name.replace('`', '``')}`")
    timed = isinstance(field.dataType, (TimestampType, TimestampNTZType))
    return column.cast("timestamp").alias(field.name) if timed else column
