"""Stage 1: read the point-in-time frame, and split off the holdout."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pyarrow as pa

from lakehouse import console
from lakehouse.settings import Settings
from lakehouse.wording import format_dates
from training.feature_store.home import open_store
from training.feature_store.joined_rows import JoinedRows
from training.frame.build import load_frame
from training.frame.constants import format_constants
from training.frame.on_spark import COLLECTED, OnSpark
from training.frame.splits import Split, training_split
from training.models import FAMILIES, ON_SPARK
from training.models.extras import require_extras
from training.models.family import FitsOn
from training.spark_ml.rows import RowsOnSpark, keep_rows
from training.spark_ml.sessions import require_classic, require_spark_ml
from training.use_case.search import SearchPlan
from training.use_case.use_case import UseCase


def read(use_case: UseCase, settings: Settings) -> Split:
    """Read the point-in-time frame, and split it into training rows and holdout.

    Raises:
        ExtraMissing: a family needs an extra that is not installed.
        SparkMlMissing, ClassicSparkNeeded, JavaNotFound: a family fits on Spark, and this engine cannot do that.
    """
    require_extras(use_case.search.families)
    require_classic(_fitting_on(use_case.search, "classic_spark"), settings)
    require_spark_ml(_fitting_on(use_case.search, "spark"), settings)
    console.stage(f"Reading features of {use_case.name} as of each label timestamp")
    on_spark = _on_spark(use_case.search, settings)
    frame = load_frame(use_case, open_store(settings), now=datetime.now(UTC), on_spark=on_spark)
    data = training_split(frame, use_case.split)
    sources = ", ".join(f"{table} v{version}" for table, version in sorted(frame.sources.items()))
    console.detail(f"{len(frame):,} rows x {frame.x.shape[1]} columns from {sources}")
    for table, count in frame.left_out.items():
        console.detail(f"{count:,} rows have no match in {table} and are dropped")
    if constant := data.training.constant:
        console.detail(f"constant on all training rows, left out of the model: {format_constants(constant)}")
    for name, rows in (("training", data.training), ("holdout", data.holdout)):
        console.detail(f"{name:<9}{len(rows):>7,} rows  {format_dates(rows.first, rows.last)}  {rows.outcome}")
    return data


def _on_spark(plan: SearchPlan, settings: Settings) -> OnSpark:
    """Rows stay on Spark if a family fits there, and features are collected if any other family needs them."""
    if not ON_SPARK.intersection(plan.families):
        return COLLECTED
    beside = bool(_fitting_on(plan, "classic_spark")) and not settings.in_workspace

    def keep(joined: JoinedRows, keys: pa.Table, features: Sequence[str]) -> RowsOnSpark:
        return keep_rows(None if beside else joined.to_spark(), keys, features, settings.master if beside else None)

    return OnSpark(keep, collect=beside or not ON_SPARK.issuperset(plan.families))


def _fitting_on(plan: SearchPlan, place: FitsOn) -> list[str]:
    return [name for name in plan.families if FAMILIES[name].fits_on == place]
