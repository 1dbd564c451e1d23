"""Feature columns as the vectors that Spark learners take, built on the executors."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)

from training.spark_ml.column_names import FEATURES, LABEL, MEANS, POSITION, VALIDATION, WEIGHT

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def sparse_vectors(rows: "DataFrame", features: Sequence[str], sizes: Mapping[int, int]) -> "DataFrame":
    """The rows with `features` as `Encoder.matrix` has them: a category index as a block of 0/1, never widened.

    Args:
        sizes: number of categories of each feature that is a category index, by its position.
    """
    from pyspark.ml.feature import OneHotEncoder

    inputs = [f"_{position}" for position in range(len(features))]
    rows = _numbers(rows, features, sizes)
    if sizes:
        blocks = {f"_{position}": f"_block_{position}" for position in sizes}
        encoder = OneHotEncoder(inputCols=[*blocks], outputCols=[*blocks.values()], dropLast=False)
        largest = {f"_{position}": [float(size - 1)] for position, size in sizes.items()}
        # It reads only the largest category, so one row with the size of the vocabulary fits it.
        rows = encoder.fit(rows.sparkSession.createDataFrame(pa.table(largest))).transform(rows)
        inputs = [blocks.get(name, name) for name in inputs]
    return _assembled(rows, inputs)


def dense_vectors(
    rows: "DataFrame", features: Sequence[str], sizes: Mapping[int, int], means: int = 0, replaced: Sequence[int] = ()
) -> "DataFrame":
    """The rows with `features` as `Encoder.dense` has them: a category index as one integer.

    Args:
        means: number of columns in the array `MEANS`, which come first.
        replaced: positions of the features that they replace.
    """
    kept = [f"_{position}" for position in range(len(features)) if position not in replaced]
    rows = _numbers(rows, features, sizes)
    for number in range(means):
        rows = rows.withColumn(f"_mean_{number}", F.col(MEANS)[number])
    return _assembled(rows, [*(f"_mean_{number}" for number in range(means)), *kept])


def _numbers(rows: "DataFrame", features: Sequence[str], sizes: Mapping[int, int]) -> "DataFrame":
    """The rows with each feature as a double, named by its position; a newer category is 0, unknown."""

    def number(position: int, feature: str) -> "Column":
        value = F.col(f"`{feature}`").cast("double")
        return F.when(value < sizes[position], value).otherwise(F.lit(0.0)) if position in sizes else value

    numbers = [number(position, feature).alias(f"_{position}") for position, feature in enumerate(features)]
    others = [name for name in (LABEL, WEIGHT, VALIDATION, MEANS, POSITION) if name in rows.columns]
    return rows.select(*(F.col(name) for name in others), *numbers)


def _assembled(rows: "DataFrame", inputs: Sequence[str]) -> "DataFrame":
    from pyspark.ml.feature import VectorAssembler

    rows = VectorAssembler(inputCols=[*inputs], outputCol=FEATURES).transform(rows)
    others = [name for name in (LABEL, WEIGHT, VALIDATION, POSITION) if name in rows.columns]
    # Without its metadata, a 0/1 column is a number for Spark's trees, as for all others: they compare, and no split
    # is a set of categories.
    return rows.select(*others, F.col(FEATURES).alias(FEATURES, metadata={}))
