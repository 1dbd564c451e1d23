"""Counts of the terms of many texts, as arrays that fill a sparse matrix."""

from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Indices
from scoring.texts.terms import TermReader


@dataclass(frozen=True)
class CountedTexts:
    """The terms of all texts, one text after another.

    Attributes:
        positions: position in the vocabulary of each term.
        counts: number of times that the text has the term.
        ends: (texts + 1,) the number of terms before each text, and of all.
    """

    positions: npt.NDArray[Any]
    counts: npt.NDArray[Any]
    ends: npt.NDArray[Any]

    @classmethod
    def of(cls, reader: TermReader, texts: npt.NDArray[Any]) -> "CountedTexts":
        """(texts,) an array of objects."""
        counted = [reader.counts(text) for text in texts.tolist()]
        ends = np.zeros(len(counted) + 1, dtype=np.int64)
        np.cumsum(np.fromiter(map(len, counted), dtype=np.int64, count=len(counted)), out=ends[1:])
        flat = np.fromiter(chain.from_iterable(chain.from_iterable(counted)), np.int64, 2 * int(ends[-1]))
        return cls(flat[::2], flat[1::2], ends)

    def cells(self, rows: slice, free: Indices) -> tuple[Indices, npt.NDArray[Any], npt.NDArray[Any]]:
        """Cells, positions and counts of the terms of some rows; the free cell of each row moves behind them."""
        begins, ends = self.ends[:-1][rows], self.ends[1:][rows]
        own, lengths = slice(begins[0], ends[-1]), ends - begins
        cells = np.repeat(free - begins, lengths) + np.arange(begins[0], ends[-1])
        free += lengths
        return cells, self.positions[own], self.counts[own]
