"""Summary statistics of every feature in `client_features`, one row per feature."""

from functools import reduce
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)

KEY = ("client_id", "contacted_at")


def model(dbt: Any, session: SparkSession) -> DataFrame:
    features = dbt.ref("client_features")
    profiles = [profile(features, name) for name in features.columns if name not in KEY]
    return reduce(DataFrame.unionAll, profiles)


def profile(features: DataFrame, name: str) -> DataFrame:
    value = F.col(name).cast("double")
    return features.agg(
        F.lit(name).alias("feature"),
        F.count(F.lit(1)).alias("row_count"),
        F.sum(value.isNull().cast("int")).alias("null_count"),
        F.count_distinct(value).alias("distinct_count"),
        F.min(value).alias("minimum"),
        F.avg(value).alias("mean"),
        F.stddev_samp(value).alias("standard_deviation"),
        F.max(value).alias("maximum"),
    )
