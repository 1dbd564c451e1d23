"""Seeds: CSV files parsed by dbt and cast to the inferred or declared types."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)


def seed_frame(session: SparkSession, rows: Any, types: Mapping[str, str]) -> DataFrame:
    """Rows of the seed, with NULL for an empty field.

    Args:
        session: session that creates the frame.
        rows: agate table.
        types: SQL type of each column, in order.
    """
    columns = {
        name: pa.array([None if value is None else str(value) for value in rows.columns[index]], pa.string())
        for index, name in enumerate(rows.column_names)
    }
    texts = session.createDataFrame(pa.table(columns))
    return texts.select(*(F.col(f"`{name}`").cast(sql_type).alias(name) for name, sql_type in types.items()))
