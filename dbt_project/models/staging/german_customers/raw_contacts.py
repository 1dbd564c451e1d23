"""The delivered files as a table; see `lakehouse.landing.deliveries`."""

from typing import Any

from pyspark.sql import DataFrame, SparkSession

from lakehouse.landing.deliveries import new_rows


def model(dbt: Any, session: SparkSession) -> DataFrame:
    return new_rows(dbt, session, dbt.config.meta_get("landing_files"), customers=dbt.ref("raw_customers"))
