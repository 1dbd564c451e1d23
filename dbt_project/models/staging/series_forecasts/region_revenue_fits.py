"""The forecast of each region at each origin by statistical models that are fitted on its history.

Each series and origin is fitted once, in tasks on the workers. It needs the extra `forecast` where it runs, and
imports this project there.
"""

import os
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

SEASON, HORIZON = 7, 14  # days
PARTS = 64  # tasks; a fit of 56 days takes about 60 ms
KEYS = ("region", "origin")
COLUMNS = "region string, origin date, auto_ets array<double>, auto_theta array<double>, mfles array<double>"


def model(dbt: Any, session: SparkSession) -> DataFrame:
    from training.forecasts.series_fits import require_library

    require_library()  # without the extra, the build stops here and names it
    histories = dbt.ref("region_revenue_histories").select(*KEYS, "history")
    if dbt.is_incremental:
        histories = histories.join(session.table(str(dbt.this)).select(*KEYS), [*KEYS], "left_anti")
    driver = os.getpid()

    def fitted(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from training.forecasts.series_fits import fitted_batches

        return fitted_batches(batches, KEYS, SEASON, HORIZON, driver)

    return histories.repartition(PARTS).mapInArrow(fitted, COLUMNS)
