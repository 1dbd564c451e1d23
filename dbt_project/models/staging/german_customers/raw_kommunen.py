"""The landing file as a table: every field as text, and the number of its row."""

from typing import Any

from pyspark.sql import DataFrame, SparkSession

from lakehouse.landing import read_delimited
from lakehouse.settings import PROJECT


def model(dbt: Any, session: SparkSession) -> DataFrame:
    landing_file = dbt.config.meta_get("landing_file")
    rows = read_delimited(
        PROJECT / landing_file["path"], columns=landing_file["columns"], delimiter=landing_file["delimiter"]
    )
    return session.createDataFrame(rows)
