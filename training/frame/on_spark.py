"""The part of a frame that stays on Spark."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from training.feature_store.joined_rows import JoinedRows
from training.frame.refusals import FrameRefused
from training.spark_ml.feature_columns import FeaturesOnSpark

if TYPE_CHECKING:
    from pyspark.sql.types import StructType

    from training.spark_ml.rows import RowsOnSpark

KeepRows = Callable[[JoinedRows, pa.Table, Sequence[str]], "RowsOnSpark"]


@dataclass(frozen=True)
class OnSpark:
    """Rows and features that stay on Spark.

    Attributes:
        keep: keeps the rows there, given the join, keys and times of its rows, and its features; None if no family
            fits there.
        collect: False to leave features there where Spark joins them; only columns of the spine are collected. A
            frame with texts, arrays or numbers that may be missing is collected nevertheless: this process learns
            terms, takes arrays apart, and tells a missing number from a missing row.
    """

    keep: KeepRows | None = None
    collect: bool = True


COLLECTED = OnSpark()


def keep_joined(joined: JoinedRows, keys: pa.Table, features: Sequence[str]) -> "RowsOnSpark":
    """The joined rows, kept in the session that joined them."""
    from training.spark_ml.rows import keep_rows

    return keep_rows(joined.to_spark(), keys, features)


def columns_on_spark(schema: "StructType", on_spark: "RowsOnSpark") -> FeaturesOnSpark:
    """The feature columns of rows on Spark.

    Args:
        schema: of the joined rows.

    Raises:
        FrameRefused: a feature is no number.
    """
    from pyspark.sql.types import BooleanType, NumericType

    columns = FeaturesOnSpark(on_spark)
    for name in columns:
        if not isinstance(schema[name].dataType, NumericType | BooleanType):
            raise FrameRefused.no_number(name, schema[name].dataType.simpleString())
    return columns
