"""The inputs of a network, made from dense rows: scaled numbers, and the index of each category.

Numbers are scaled by their quartiles and clipped smoothly, so that an outlier stays within (-3, 3). The graph repeats
both in double precision: dates as integers and epoch milliseconds have more digits than float32.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats
from training.networks.graph import GraphBuilder

SMOOTH_LIMIT = 3.0  # absolute value that a scaled number approaches
SERIES_LIMIT = 10.0  # the same for values of a series, whose extremes are forecast too
LARGEST_SCALED = 1e6  # beyond it a scaled number is at its limit; its square stays finite

Numbers = npt.NDArray[np.float32]
Categories = npt.NDArray[np.int64]


@dataclass(frozen=True)
class NetworkInputs:
    """The preparation of dense rows, learned from the rows of a fit.

    Attributes:
        columns: the columns that are numbers; those with more than two values come first.
        varied: count of the columns with more than two values, which get embeddings.
        centre, factor: (numbers,) the median, which also replaces a missing value, and the scale.
        missing: positions in `columns` of numbers that were missing in the fit; each has an input that says so.
        categories: for each category index, its column and (size,) True for each category that the fit has seen. The
            others have the embedding of 0, the unknown category.
        limit: absolute value that a scaled number approaches.
    """

    alone: ClassVar[bool] = False  # a row has the same bits in any batch

    columns: tuple[int, ...]
    varied: int
    centre: Floats
    factor: Floats
    missing: tuple[int, ...]
    categories: Mapping[int, npt.NDArray[np.bool_]]
    limit: float = SMOOTH_LIMIT

    @classmethod
    def of(cls, rows: Floats, sizes: Mapping[int, int], left_out: Collection[int] = ()) -> Self:
        """Learn the preparation from (rows, features).

        Args:
            sizes: number of categories of each index, by its column.
            left_out: columns that are not prepared.
        """
        numbers = [column for column in range(rows.shape[1]) if column not in sizes and column not in left_out]
        varied = [column for column in numbers if not _has_two_values(rows[:, column])]
        columns = (*varied, *(column for column in numbers if column not in varied))
        centre, factor = _scaling(rows[:, list(columns)])
        missing = tuple(np.flatnonzero(np.isnan(rows[:, list(columns)]).any(axis=0)).tolist())
        return cls(columns, len(varied), centre, factor, missing, seen_categories(rows, sizes))

    @classmethod
    def of_series(cls, rows: Floats, columns: Sequence[int]) -> Self:
        """Learn the preparation of columns that are values of one series: they have one centre and one factor."""
        values, count = rows[:, list(columns)], len(columns)
        centre, factor = (np.repeat(each, count) for each in _scaling(values.reshape(-1, 1)))
        missing = tuple(np.flatnonzero(np.isnan(values).any(axis=0)).tolist())
        return cls(tuple(columns), count, centre, factor, missing, {}, SERIES_LIMIT)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of categories of each index."""
        return tuple(len(seen) for seen in self.categories.values())

    @property
    def numbers(self) -> int:
        """The count of inputs that are numbers."""
        return len(self.columns) + len(self.missing)

    def prepared(self, rows: Floats) -> tuple[Numbers, Categories]:
        """(rows, numbers) scaled numbers, and (rows, indices) categories, for (rows, features)."""
        values = rows[:, list(self.columns)]
        absent = np.isnan(values)
        scaled = (np.where(absent, self.centre, values) - self.centre) * self.factor
        scaled = np.clip(scaled, -LARGEST_SCALED, LARGEST_SCALED)
        clipped = scaled / np.sqrt(1 + np.square(scaled / self.limit))
        numbers = np.hstack([clipped, absent[:, list(self.missing)]]).astype(np.float32)
        indices = np.zeros((len(rows), len(self.categories)), dtype=np.int64)
        for number, (column, seen) in enumerate(self.categories.items()):
            value = rows[:, column]
            known = np.where((value >= 0) & (value < len(seen)), value, 0).astype(np.int64)
            indices[:, number] = np.where(seen[known], known, 0)
        return numbers, indices

    def written(self, graph: GraphBuilder) -> tuple[str, list[str]]:
        """Write the preparation into a graph: the name of its numbers, and of the index of each category."""
        numbers = self._written_numbers(graph) if self.columns else ""
        indices = []
        for column, seen in self.categories.items():
            value = graph.add("Gather", graph.rows, graph.constant(np.int64(column)), axis=1)
            above = graph.add("GreaterOrEqual", value, graph.constant(np.float64(0)))
            below = graph.add("Less", value, graph.constant(np.float64(len(seen))))
            known = graph.add("Where", graph.add("And", above, below), value, graph.constant(np.float64(0)))
            indices.append(graph.add("Cast", known, to=graph.INT64))
        return numbers, indices

    def table(self, number: int, weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The embeddings of an index, (categories, width), with that of 0 for each category that the fit lacks."""
        seen = [*self.categories.values()][number]
        return np.ascontiguousarray(weights[np.where(seen, np.arange(len(seen)), 0)])

    def _written_numbers(self, graph: GraphBuilder) -> str:
        centre = graph.constant(self.centre)
        values = graph.add("Gather", graph.rows, graph.constant(np.asarray(self.columns, dtype=np.int64)), axis=1)
        absent = graph.add("IsNaN", values)
        centred = graph.add("Sub", graph.add("Where", absent, centre, values), centre)
        limits = graph.constant(np.float64(-LARGEST_SCALED)), graph.constant(np.float64(LARGEST_SCALED))
        scaled = graph.add("Clip", graph.add("Mul", centred, graph.constant(self.factor)), *limits)
        part = graph.add("Div", scaled, graph.constant(np.float64(self.limit)))
        square = graph.add("Add", graph.add("Mul", part, part), graph.constant(np.float64(1)))
        numbers = graph.add("Cast", graph.add("Div", scaled, graph.add("Sqrt", square)), to=graph.FLOAT)
        if not self.missing:
            return numbers
        flags = graph.add("Gather", absent, graph.constant(np.asarray(self.missing, dtype=np.int64)), axis=1)
        return graph.add("Concat", numbers, graph.add("Cast", flags, to=graph.FLOAT), axis=1)


def seen_categories(rows: Floats, sizes: Mapping[int, int]) -> dict[int, npt.NDArray[np.bool_]]:
    """`NetworkInputs.categories` of (rows, features)."""
    return {column: _seen(rows[:, column], size) for column, size in sizes.items()}


def _has_two_values(column: Floats) -> bool:
    known = column[~np.isnan(column)]
    return bool(np.isin(known, [known.min(initial=np.inf), known.max(initial=-np.inf)]).all())


def _scaling(values: Floats) -> tuple[Floats, Floats]:
    """Median and factor of each column: by the quartiles, or by the range where both quartiles are one value."""
    if not values.shape[1]:
        return np.zeros(0), np.zeros(0)
    known = np.where(np.isnan(values).all(axis=0), 0.0, values)
    low, quarter, centre, three_quarters, high = np.nanquantile(known, [0, 0.25, 0.5, 0.75, 1], axis=0)
    spread, extent = three_quarters - quarter, high - low
    unit = np.where(spread > 0, spread, extent / 2)
    return centre, np.divide(1.0, unit, out=np.zeros_like(unit), where=unit > 0)


def _seen(column: Floats, size: int) -> npt.NDArray[np.bool_]:
    seen = np.zeros(size, dtype=np.bool_)
    seen[column[(column >= 0) & (column < size)].astype(np.int64)] = True
    seen[0] = True
    return seen
