"""The inputs of a network over texts: the prepared numbers and categories of a row, then its tokens."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats
from training.networks.graph import GraphBuilder
from training.networks.inputs import Categories, NetworkInputs, Numbers


@dataclass(frozen=True)
class TextInputs:
    """The preparation of rows of `TokenRows`.

    Attributes:
        others: preparation of the numbers and category indices in front of the tokens.
        first: column of the first token.
        tokens: count of the columns of tokens.
    """

    alone: ClassVar[bool] = True  # attention over many tokens takes other kernels for a batch

    others: NetworkInputs
    first: int
    tokens: int

    @classmethod
    def of(cls, rows: Floats, sizes: dict[int, int], tokens: int) -> Self:
        """Learn the preparation of the numbers from (rows, numbers + tokens)."""
        first = rows.shape[1] - tokens
        return cls(NetworkInputs.of(rows[:, :first], sizes), first, tokens)

    @property
    def numbers(self) -> int:
        """The count of inputs that are numbers."""
        return self.others.numbers

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of categories of each index."""
        return self.others.sizes

    def prepared(self, rows: Floats) -> tuple[Numbers, Categories]:
        """(rows, numbers) scaled numbers, and (rows, indices + tokens) categories and tokens."""
        numbers, categories = self.others.prepared(rows[:, : self.first])
        return numbers, np.hstack([categories, rows[:, self.first :].astype(np.int64)])

    def table(self, number: int, weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The embeddings of a category index; see `NetworkInputs.table`."""
        return self.others.table(number, weights)

    def written(self, graph: GraphBuilder) -> tuple[str, list[str], str]:
        """Write the preparation into a graph: the names of numbers, of each category index, and of the tokens."""
        numbers, categories = self.others.written(graph)
        bounds = [np.asarray([at], dtype=np.int64) for at in (self.first, self.first + self.tokens, 1)]
        tokens = graph.add("Slice", graph.rows, *map(graph.constant, bounds))
        return numbers, categories, graph.add("Cast", tokens, to=graph.INT64)
