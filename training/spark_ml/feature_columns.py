"""Feature columns of rows that stay on Spark: predicted and counted there, and collected only where they are read."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from lakehouse.arrays import Floats, Integers
from lakehouse.errors import LakehouseError, first_line
from lakehouse.tables.number_columns import number_array
from scoring.encodings import FeatureColumns, Values
from training.spark_ml.column_names import POSITION, RESULT

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from training.spark_ml.rows import RowsOnSpark


class SparkFailed(LakehouseError):
    """Spark cannot compute something of these rows."""

    @classmethod
    def at(cls, work: str, reason: Exception) -> "SparkFailed":
        return cls(
            f"Spark cannot {work}: {first_line(reason)}",
            hint="Read the log of its executors; they need this project and its packages installed.",
        )


class FeaturesOnSpark(Mapping[str, Values]):
    """Feature columns of some rows on Spark.

    Reading a column collects all columns of the rows, once. So whoever reads one takes a few rows before: `at`.

    Attributes:
        rows: the rows, by position.
    """

    def __init__(self, rows: "RowsOnSpark") -> None:
        self.rows = rows
        self._names = tuple(rows.source.features)

    def __getitem__(self, name: str) -> Values:
        return self._collected[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def collected(self, names: Sequence[str]) -> dict[str, Values]:
        """(rows,) some columns, in the order of the rows."""
        found = self._in_order(self._selected(names))
        return {name: number_array(found[name]) for name in names}

    def predict(self, predictor: Callable[[FeatureColumns], Floats], names: Sequence[str]) -> Floats:
        """Predict on the executors; only the predictions come back: (rows,) or (rows, outputs).

        Args:
            predictor: predicts feature columns; it travels with the task.
            names: the columns that it reads.

        Raises:
            SparkFailed: an executor cannot predict.
        """

        def predicted(batch: pa.RecordBatch) -> pa.Array:
            found = predictor({name: number_array(batch.column(name)) for name in names})
            outputs = np.ascontiguousarray(found, dtype=np.float64).reshape(batch.num_rows, -1)
            ends = np.arange(batch.num_rows + 1, dtype=np.int32) * outputs.shape[1]
            return pa.ListArray.from_arrays(pa.array(ends), pa.array(outputs.ravel()))

        answers = self._mapped(predicted, names, "array<double>", "predict these rows")
        outputs = answers.combine_chunks().flatten().to_numpy().reshape(len(self.rows.positions), -1)
        return np.asarray(outputs[:, 0] if outputs.shape[1] == 1 else outputs)

    def digests(self, digest: Callable[[FeatureColumns], Sequence[bytes]], names: Sequence[str]) -> list[bytes]:
        """(rows,) a digest of each row, made on the executors."""

        def digested(batch: pa.RecordBatch) -> pa.Array:
            return pa.array(digest({name: number_array(batch.column(name)) for name in names}), pa.binary())

        found: list[bytes] = self._mapped(digested, names, "binary", "hash these rows").to_pylist()
        return found

    def missing_counts(self) -> dict[str, int]:
        """Number of rows without a finite value, of each column."""
        from pyspark.sql import functions as F  # noqa: N812

        values = [(name, F.col(f"`{name}`").cast("double")) for name in self._names]
        missing = [
            F.count_if(value.isNull() | F.isnan(value) | (F.abs(value) == float("inf"))).alias(name)
            for name, value in values
        ]
        found = self._selected(self._names).agg(*missing).toArrow()
        return {name: int(found[name][0].as_py()) for name in self._names}

    def ranges(self, names: Sequence[str], sizes: Mapping[int, int]) -> dict[str, tuple[float, float]]:
        """The least and the greatest value of each column; every value is finite.

        Args:
            sizes: number of categories of each category index, by its position; a newer category is 0, unknown.
        """
        from pyspark.sql import functions as F  # noqa: N812

        values = [(name, F.col(f"`{name}`").cast("double")) for name in names]
        for index, size in sizes.items():
            name, value = values[index]
            values[index] = name, F.when(value < size, value).otherwise(F.lit(0.0))
        bounds = [F.array(F.min(value), F.max(value)).alias(name) for name, value in values]
        found = self._selected(names).agg(*bounds).toArrow()
        return {name: (found[name][0][0].as_py(), found[name][0][1].as_py()) for name in names}

    @cached_property
    def _collected(self) -> dict[str, Values]:
        return self.collected(self._names)

    def _selected(self, names: Sequence[str]) -> "DataFrame":
        """Position and columns of these rows, and of no others."""
        from pyspark.sql import functions as F  # noqa: N812

        rows = self.rows.source.rows().select(POSITION, *(f"`{name}`" for name in names))
        positions = self.rows.positions
        if len(positions) == self.rows.source.keys.num_rows:
            return rows
        if len(positions) and _is_range(positions):
            return rows.where(F.col(POSITION).between(int(positions[0]), int(positions[-1])))
        return rows.join(
            rows.sparkSession.createDataFrame(pa.table({POSITION: np.sort(positions)})), POSITION, "left_semi"
        )

    def _mapped(
        self, function: Callable[[pa.RecordBatch], pa.Array], names: Sequence[str], sql_type: str, work: str
    ) -> pa.ChunkedArray:
        """(rows,) results of a function of batches, in the order of the rows."""
        from pyspark.errors import PySparkException

        def on_worker(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                if batch.num_rows:
                    results = function(batch)
                    yield pa.RecordBatch.from_arrays([batch.column(POSITION), results], names=[POSITION, RESULT])

        try:
            mapped = self._selected(names).mapInArrow(on_worker, f"`{POSITION}` bigint, `{RESULT}` {sql_type}")
            return self._in_order(mapped)[RESULT]
        except PySparkException as err:
            raise SparkFailed.at(work, err) from err

    def _in_order(self, rows: "DataFrame") -> pa.Table:
        """The rows here, in the order of the positions."""
        found: pa.Table = rows.toArrow().sort_by(POSITION)
        places = np.searchsorted(found[POSITION].to_numpy(), self.rows.positions)
        return found.take(pa.array(places))


def _is_range(positions: Integers) -> bool:
    return bool(np.array_equal(positions, np.arange(positions[0], positions[0] + len(positions))))
