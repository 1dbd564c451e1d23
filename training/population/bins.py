"""Bins of one column: fixed at registration, so that counts of any rows, windows and machines can be added."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats
from scoring.texts.terms import length

BinIndices = npt.NDArray[np.int64]
MISSING, UNKNOWN, ABSENT = -1, -2, -3  # null; a value that is not listed or not accepted; a field that is not sent
SPECIAL = (MISSING, UNKNOWN)
REDACTED = "[redacted]"  # what the request log writes instead of a hidden value
NOT_SENT: Any = object()


class ColumnBins(ABC):
    """Bins of one column. `counts` arrays have one number for each bin, then those of `TAIL`."""

    TAIL = ("missing", "unknown", "outside")

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of bins."""

    @abstractmethod
    def index(self, values: Sequence[Any]) -> tuple[BinIndices, npt.NDArray[np.bool_]]:
        """(n,) the bin of each value or one of MISSING, UNKNOWN and ABSENT, and (n,) True outside the known range."""

    @abstractmethod
    def labels(self) -> list[str]:
        """The name of each bin."""


@dataclass(frozen=True)
class NumberBins(ColumnBins):
    """A number. Bin i holds values from `edges[i - 1]` to below `edges[i]`; the first and the last are open.

    Attributes:
        edges: ascending inner edges, at least one.
        low, high: smallest and largest known value.
        centres: mean of the reference rows in each bin, for distances in units of the column.
        discrete: True if each bin holds one known value.
        of_texts: True if a value is a text, whose number is its length; an empty text is missing.
    """

    edges: tuple[float, ...]
    low: float
    high: float
    centres: tuple[float, ...]
    discrete: bool = False
    of_texts: bool = False

    @property
    def size(self) -> int:
        return len(self.edges) + 1

    @cached_property
    def _edges(self) -> Floats:
        return np.asarray(self.edges, dtype=np.float64)

    def index(self, values: Sequence[Any]) -> tuple[BinIndices, npt.NDArray[np.bool_]]:
        numbers, special = _numbers(list(map(_length, values)) if self.of_texts else values)
        bins = np.searchsorted(self._edges, numbers, side="right").astype(np.int64)
        outside = (special == 0) & ((numbers < self.low) | (numbers > self.high))
        return np.where(special == 0, bins, special), outside

    def index_array(self, numbers: Floats) -> BinIndices:
        """The bin of each finite number."""
        return np.searchsorted(self._edges, numbers, side="right").astype(np.int64)

    def labels(self) -> list[str]:
        """Such as `below 30`, `30 to below 41`, `41 and above`."""
        if self.discrete:
            return [f"{centre:.6g}" for centre in self.centres]
        inner = [f"{a:.6g} to below {b:.6g}" for a, b in zip(self.edges, self.edges[1:], strict=False)]
        return [f"below {self.edges[0]:.6g}", *inner, f"{self.edges[-1]:.6g} and above"]


@dataclass(frozen=True)
class CategoryBins(ColumnBins):
    """A category. The most frequent ones have a bin each, the others share the last.

    Attributes:
        values: every known category: texts, integers, or false and true.
        own: number of categories, the first of `values`, with a bin of their own.
    """

    values: tuple[Any, ...]
    own: int

    @property
    def size(self) -> int:
        return self.own + (len(self.values) > self.own)

    @cached_property
    def _bin_of(self) -> dict[tuple[bool, Any], int]:
        # 1 == True: a number is no flag.
        return {(isinstance(value, bool), value): min(at, self.own) for at, value in enumerate(self.values)}

    def index(self, values: Sequence[Any]) -> tuple[BinIndices, npt.NDArray[np.bool_]]:
        bin_of = self._bin_of
        found = np.fromiter((_category(value, bin_of) for value in values), np.int64, len(values))
        return found, np.zeros(len(values), dtype=np.bool_)

    def labels(self) -> list[str]:
        named = [str(value).lower() if isinstance(value, bool) else str(value) for value in self.values[: self.own]]
        rest = len(self.values) - self.own
        return [*named, f"{rest:,} others"] if rest > 0 else named


def _length(value: Any) -> Any:
    """The length of a text, None for an empty one; other values stay, but for numbers, which no text is."""
    if isinstance(value, str) and value != REDACTED:
        return length(value) or None
    return value if value is None or value is NOT_SENT or value == REDACTED else float("nan")


def _category(value: Any, bin_of: dict[tuple[bool, Any], int]) -> int:
    if value is None:
        return MISSING
    if value is NOT_SENT or value == REDACTED:
        return ABSENT
    try:
        return bin_of.get((isinstance(value, bool), value), UNKNOWN)
    except TypeError:  # a list or an object
        return UNKNOWN


def _numbers(values: Sequence[Any]) -> tuple[Floats, BinIndices]:
    """The values as numbers, 0 where they are none, and the special bin of those, else 0."""
    special = np.zeros(len(values), dtype=np.int64)
    if all(type(value) is int or type(value) is float for value in values):
        try:
            numbers = np.asarray(values, dtype=np.float64)
        except OverflowError:
            numbers = np.full(len(values), np.nan)
        if np.isfinite(numbers).all():
            return numbers, special
    numbers = np.zeros(len(values))
    for at, value in enumerate(values):
        if value is None:
            special[at] = MISSING
        elif value is NOT_SENT or value == REDACTED:
            special[at] = ABSENT
        elif _is_finite(value):
            numbers[at] = float(value)
        else:
            special[at] = UNKNOWN
    return numbers, special


def _is_finite(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return isfinite(value)
    except OverflowError:
        return False


def tally(bins: ColumnBins, indices: BinIndices, outside: npt.NDArray[np.bool_]) -> Floats:
    """(bins.size + 3,) counts of each bin, then missing, unknown and outside values.

    >>> flags = CategoryBins((False, True), 2)
    >>> tally(flags, *flags.index([True, True, None, "yes", NOT_SENT])).tolist()
    [0.0, 2.0, 1.0, 1.0, 0.0]
    """
    counts = np.zeros(bins.size + len(ColumnBins.TAIL))
    counts[: bins.size] = np.bincount(indices[indices >= 0], minlength=bins.size)
    counts[bins.size :] = (indices == MISSING).sum(), (indices == UNKNOWN).sum(), outside.sum()
    return counts
