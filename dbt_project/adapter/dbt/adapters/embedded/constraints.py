"""Constraints of a table, checked on the files that a write has made and before anybody sees them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from dbt.adapters.embedded.delta_log import file_of
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812  (Spark's own convention)

from lakehouse.errors import LakehouseError
from lakehouse.tables.warehouse import TableName


class ConstraintViolated(LakehouseError):
    """Rows of a write violate the constraints of their table."""

    @classmethod
    def of(cls, name: TableName, violations: Sequence[str]) -> "ConstraintViolated":
        return cls(
            f"constraints of {name} are violated by its new rows: {'; '.join(violations)}",
            hint="The table keeps its earlier rows. Filter or correct these rows in the model, or its contract.",
        )


def require_not_null(
    name: TableName, folder: Path, files: Sequence[Mapping[str, Any]], not_null: Collection[str]
) -> None:
    """Check that no NOT NULL column has a NULL in the new files. Only their footers are read.

    Raises:
        ConstraintViolated: a column has.
    """
    counts = dict.fromkeys(sorted(not_null), 0)
    for add in files if counts else ():
        parquet = pq.ParquetFile(folder / file_of(add))
        for column in counts:
            if column in add["partitionValues"]:
                # An empty text cannot be told from NULL in a partition, and reads back as NULL.
                counts[column] += parquet.metadata.num_rows if not add["partitionValues"][column] else 0
            else:
                counts[column] += _nulls(parquet, column)
    if violations := [f"NOT NULL column '{column}' is NULL in {n:,} rows" for column, n in counts.items() if n]:
        raise ConstraintViolated.of(name, violations)


def require_checks(name: TableName, rows: DataFrame, checks: Mapping[str, str]) -> None:
    """Check that every new row meets every CHECK: as in Delta, its condition is true, neither false nor NULL.

    Raises:
        ConstraintViolated: a row does not.
        PySparkException: a condition cannot be evaluated.
    """
    if not checks:
        return
    failures = [
        F.sum(F.when(F.expr(f"({condition})"), 0).otherwise(1)).alias(f"c{number}")
        for number, condition in enumerate(checks.values())
    ]
    counts = rows.agg(*failures).collect()[0]
    if violations := list(_failed(checks, counts)):
        raise ConstraintViolated.of(name, violations)


def _failed(checks: Mapping[str, str], counts: Sequence[int | None]) -> Iterator[str]:
    for (check, condition), count in zip(checks.items(), counts, strict=True):
        if count:
            yield f"CHECK {check} ({condition}) is violated by {count:,} rows"


def _nulls(parquet: pq.ParquetFile, column: str) -> int:
    """NULLs of a column by the statistics of the file, or by its values where it has none."""
    groups = [parquet.metadata.row_group(number) for number in range(parquet.metadata.num_row_groups)]
    place = {parquet.metadata.schema.column(at).path: at for at in range(parquet.metadata.num_columns)}.get(column)
    statistics = [None if place is None else group.column(place).statistics for group in groups]
    counts = [each.null_count for each in statistics if each is not None and each.has_null_count]
    if len(counts) == len(groups):
        return sum(counts)
    nulls: int = parquet.read(columns=[column])[column].null_count
    return nulls
