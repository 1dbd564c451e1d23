"""A column with the bin of each reference row."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats
from training.population.bins import BinIndices, ColumnBins, NumberBins, tally

NUMBER_BINS = 50
MOST_DISTINCT = 10  # a number with so many distinct values is counted by value


@dataclass(frozen=True)
class PlacedColumn:
    """A column with the bin of each reference row, and whether missing and unknown values are merged in it."""

    bins: ColumnBins
    indices: BinIndices
    merged: bool = False

    def counts(self, rows: npt.NDArray[np.bool_] | slice = slice(None)) -> Floats:
        indices = self.indices[rows]
        return tally(self.bins, indices, np.zeros(len(indices), dtype=np.bool_))

    def within(self, divided: "PlacedColumn") -> Floats:
        """(categories, bins.size + 3) counts within each category of another column."""
        return np.stack([self.counts(divided.indices == category) for category in range(divided.bins.size)])


def number_bins(values: Floats, most: int = NUMBER_BINS, at: Sequence[float] = ()) -> NumberBins:
    """Bins with about equally many of the values; few distinct values have a bin each.

    Args:
        values: (n,) finite numbers, n > 0.
        most: largest number of bins.
        at: further inner edges.
    """
    distinct = np.unique(values)
    discrete = len(distinct) <= MOST_DISTINCT and not at
    if discrete:
        edges = [
            float(np.nextafter(a, np.inf)) if a + b == 2 * a else float((a + b) / 2) for a, b in pairwise(distinct)
        ]
    else:
        inner = np.quantile(values, np.linspace(0, 1, most + 1)[1:-1], method="inverted_cdf")
        edges = sorted({*inner.tolist(), *at} - {float(distinct[0])})
    edges = edges or [float(np.nextafter(distinct[-1], np.inf))]
    bins = np.searchsorted(edges, values, side="right")
    sums, counts = np.bincount(bins, values, len(edges) + 1), np.bincount(bins, minlength=len(edges) + 1)
    centres = np.where(counts > 0, sums / np.maximum(counts, 1), [*edges, edges[-1]])
    return NumberBins(tuple(edges), float(distinct[0]), float(distinct[-1]), tuple(centres.tolist()), discrete)
