"""Seeds: a CSV as dbt parsed it, cast to the types that dbt inferred or the project declares."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)


def seed_frame(session: SparkSession, rows: Any, types: Mapping[str, str]) -> DataFrame:
    """The seed's rows, NULL where the file has no value.

    Args:
        session: to make the frame in.
        rows: agate table.
        types: the SQL type of each column, in order.
    """
    columns = {
        name: pa.array([None if value is None else str(value) for value in rows.columns[place]], pa.string())
        for place, name in enumerate(rows.column_names)
    }
    texts = session.createDataFrame(pa.table(columns))
    return texts.select(*(F.col(f"`{name}`").cast(sql_type).alias(name) for name, sql_type in types.items()))
