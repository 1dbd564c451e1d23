"""Rows of a training frame that stay on Spark: keys, times and labels go there, features do not come back."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.errors import PySparkException

from lakehouse import console
from lakehouse.errors import first_line
from training.spark_ml.column_names import MEANS, POSITION
from training.spark_ml.vectors import dense_vectors, sparse_vectors

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROWS_PER_PARTITION = 50_000


@dataclass
class RowSource:
    """The point-in-time frame on Spark, each row with its position in the training frame.

    Features depend on key and time alone, so a row finds them by these, however often they occur in the spine.

    Attributes:
        frame: the point-in-time join; None if rows are sent.
        keys: (rows,) key columns and time of each row of the training frame, in its order.
        features: the feature columns.
        master: Spark master of a classic session beside the engine of the tables; None if learners use the
            session of the tables.
    """

    frame: "DataFrame | None"
    keys: pa.Table
    features: Sequence[str]
    master: str | None = None
    _rows: "DataFrame | None" = field(default=None, init=False, repr=False)
    _opened: ExitStack = field(default_factory=ExitStack, init=False, repr=False)

    @property
    def is_sent(self) -> bool:
        """True if rows must be sent to a classic session, since the tables are on another engine."""
        return self.master is not None

    def rows(self) -> "DataFrame":
        """Position and features of every row, joined once and kept on the executors until `close`."""
        if self._rows is None:
            assert self.frame is not None  # noqa: S101  (Spark ML is refused where rows are sent)
            session, names = self.frame.sparkSession, self.keys.column_names
            positions = pa.array(np.arange(self.keys.num_rows, dtype=np.int64))
            keys = session.createDataFrame(self.keys.append_column(POSITION, positions))
            quoted = [f"`{name}`" for name in self.features]
            features = self.frame.select(*(f"`{name}`" for name in names), *quoted).dropDuplicates(names)
            self._rows = keys.join(features, names).select(POSITION, *quoted)
            self._opened.enter_context(cached(self._rows))
        return self._rows

    def close(self) -> None:
        """Free the rows on the executors."""
        self._opened.close()
        self._rows = None


@contextmanager
def cached(rows: "DataFrame") -> Iterator["DataFrame"]:
    """Keep the rows on the executors until the block ends, where the server can: serverless compute has no cache."""
    try:
        rows.persist()
    except PySparkException as err:
        console.detail(f"Spark keeps no rows and computes them again for each step: {first_line(err)}")
        yield rows
        return
    try:
        yield rows
    finally:
        rows.unpersist()


@dataclass(frozen=True)
class RowsOnSpark:
    """Some rows of a source, by position."""

    source: RowSource
    positions: npt.NDArray[np.int64]

    def at(self, selected: npt.NDArray[Any]) -> "RowsOnSpark":
        """Those rows that are selected by a mask or by index."""
        return replace(self, positions=self.positions[selected])

    def beside(self, columns: Mapping[str, npt.NDArray[Any]]) -> "DataFrame":
        """Features of the rows beside further columns, in a fixed number of partitions and a fixed order."""
        source = self.source.rows()
        added = uploaded(source.sparkSession, {POSITION: self.positions, **columns})
        return in_order(source.join(added, POSITION), len(self.positions))


@dataclass(frozen=True)
class RowsToFit:
    """Rows for one fit: features on Spark; labels, weights and target means from here.

    Attributes:
        rows: the rows on Spark.
        features: the feature columns of the model, in its order.
        sizes: number of categories of each feature that is a category index, by its position.
        columns: (rows,) label, weight, and mark of the validation rows; (rows, means) target means.
        replaced: positions of the features that the target means replace.
        inputs: the first rows in this process, as the fitted model takes them.
    """

    rows: RowsOnSpark
    features: Sequence[str]
    sizes: Mapping[int, int]
    columns: Mapping[str, npt.NDArray[Any]]
    replaced: Sequence[int] = ()
    inputs: Any = None

    @property
    def sample(self) -> npt.NDArray[np.int64]:
        """Positions of the rows in `inputs`."""
        return self.rows.positions[: self.inputs.shape[0]]

    def sparse(self) -> "DataFrame":
        """Sparse vectors: a category index as a block of 0/1."""
        return sparse_vectors(self.rows.beside(self.columns), self.features, self.sizes)

    def dense(self) -> "DataFrame":
        """Dense vectors: target means, then the other features, a category index as its integer."""
        means = self.columns[MEANS].shape[1] if MEANS in self.columns else 0
        return dense_vectors(self.rows.beside(self.columns), self.features, self.sizes, means, self.replaced)


def keep_rows(
    frame: "DataFrame | None", keys: pa.Table, features: Sequence[str], master: str | None = None
) -> RowsOnSpark:
    """All rows of a frame; see `RowSource`."""
    return RowsOnSpark(RowSource(frame, keys, features, master), np.arange(keys.num_rows, dtype=np.int64))


def uploaded(session: "SparkSession", columns: Mapping[str, npt.NDArray[Any]]) -> "DataFrame":
    """A frame of columns of this process; one of two dimensions becomes a column of arrays."""
    return session.createDataFrame(pa.table({name: _arrow(values) for name, values in columns.items()}))


def in_order(rows: "DataFrame", count: int, partitions: int | None = None) -> "DataFrame":
    """The rows in partitions and an order that depend only on their positions and number.

    Forests draw rows by partition, so the same rows give the same model.
    """
    number = partitions or max(1, ceil(count / ROWS_PER_PARTITION))
    return rows.repartition(number, POSITION).sortWithinPartitions(POSITION)


def _arrow(values: npt.NDArray[Any]) -> pa.Array:
    if values.ndim == 1:
        return pa.array(values)
    rows, width = values.shape
    return pa.ListArray.from_arrays(np.arange(rows + 1) * width, np.ascontiguousarray(values).ravel())
