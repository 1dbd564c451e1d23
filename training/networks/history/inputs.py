"""The inputs of a network over the history of a series: its values in order, the context of the row, and its step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats
from training.networks.graph import GraphBuilder
from training.networks.inputs import Categories, NetworkInputs, Numbers

MOST_STEPS = 1_000  # of a horizon; later steps have the forecast of the last one


@dataclass(frozen=True)
class HistoryInputs:
    """The preparation of rows with a history.

    Attributes:
        history: preparation of the history, the oldest value first.
        others: preparation of the other numbers, the step included, and of the category indices.
        step: column of the steps from the origin.
        horizon: count of the steps of the fit.
    """

    alone: ClassVar[bool] = False  # a row has the same bits in any batch

    history: NetworkInputs
    others: NetworkInputs
    step: int
    horizon: int

    @classmethod
    def of(cls, rows: Floats, sizes: dict[int, int], history: Sequence[int], step: int) -> Self:
        """Learn the preparation from (rows, features).

        Args:
            sizes: number of categories of each category index, by its column.
            history: columns of the history, the oldest value first.
            step: column of the steps from the origin.
        """
        last = int(np.clip(np.nanmax(rows[:, step], initial=0.0), 0, MOST_STEPS - 1))
        others = NetworkInputs.of(rows, sizes, left_out=history)
        return cls(NetworkInputs.of_series(rows, history), others, step, last + 1)

    @property
    def length(self) -> int:
        """The count of the values of the history."""
        return len(self.history.columns)

    @property
    def numbers(self) -> int:
        """The count of the numbers of the context: the marks of missing values, and the other numbers."""
        return len(self.history.missing) + self.others.numbers

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of categories of each index."""
        return self.others.sizes

    def prepared(self, rows: Floats) -> tuple[Numbers, Categories]:
        """(rows, length + numbers + 1) history, context and step, and (rows, indices) categories."""
        history, _ = self.history.prepared(rows)
        numbers, categories = self.others.prepared(rows)
        step = np.floor(np.clip(np.nan_to_num(rows[:, [self.step]]), 0, self.horizon - 1))
        return np.hstack([history, numbers, step.astype(np.float32)]), categories

    def table(self, number: int, weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The embeddings of a category index; see `NetworkInputs.table`."""
        return self.others.table(number, weights)

    def written(self, graph: GraphBuilder) -> tuple[str, str, list[str], str]:
        """Write the preparation into a graph: the names of history, context, each category index, and step."""
        history, _ = self.history.written(graph)
        numbers, categories = self.others.written(graph)
        if self.history.missing:
            first, last = np.arange(self.length), np.arange(self.length, self.length + len(self.history.missing))
            marks = graph.add("Gather", history, graph.constant(last), axis=1)
            history = graph.add("Gather", history, graph.constant(first), axis=1)
            numbers = graph.add("Concat", marks, numbers, axis=1)
        return history, numbers, categories, self._written_step(graph)

    def _written_step(self, graph: GraphBuilder) -> str:
        value = graph.add("Gather", graph.rows, graph.constant(np.asarray([self.step])), axis=1)
        zero, last = graph.constant(np.float64(0)), graph.constant(np.float64(self.horizon - 1))
        known = graph.add("Where", graph.add("IsNaN", value), zero, value)
        return graph.add("Cast", graph.add("Clip", known, zero, last), to=graph.INT64)
