"""Draws for the bootstrap: rows, whole entities, or blocks of time.

Rows of one entity, and rows of neighbouring times, are not independent. Drawn one by one they make an interval too
narrow. So one draws what is independent:

- entities with all their rows, where an entity has several rows (cluster bootstrap; Field & Welsh, JRSS B 69, 2007);
- blocks of successive times with all their rows, where time orders the rows (circular block bootstrap; Politis &
  Romano, 1992).

Where both hold, each is drawn on its own, and so are the rows. Variances are then combined as in two-way clustering,
V(entities) + V(time) - V(rows): Thompson, J. Financial Economics 99, 2011; Cameron, Gelbach & Miller, JBES 29, 2011.
To draw entities and times at once instead would count the variance of a single row three times (Owen, Annals of
Applied Statistics 1, 2007).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats, Indices, Times

DrawCounts = npt.NDArray[np.int64]  # (n,) draws of each row, or (draws, n) of several resamples at once
Unit = Literal["row", "entity", "time"]

MIN_TIMES = 10  # fewer distinct times form no blocks


@dataclass(frozen=True)
class Dependence:
    """The entity and time of rows, through which they depend on each other.

    Attributes:
        keys: (n,) the entity; None if rows are independent.
        times: (n,) the time; None if time does not order the rows.
    """

    keys: npt.NDArray[Any] | None = None
    times: Times | None = None

    def take(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> "Dependence":
        """Keep the chosen rows."""
        return Dependence(*(None if each is None else each[chosen] for each in (self.keys, self.times)))

    @classmethod
    def joined(cls, parts: Sequence["Dependence"]) -> "Dependence":
        """Join the rows of several parts in their order."""
        if len(parts) == 1:
            return parts[0]
        keys, times = ([getattr(part, name) for part in parts] for name in ("keys", "times"))
        return cls(*(None if any(e is None for e in each) else np.concatenate(each) for each in (keys, times)))


INDEPENDENT = Dependence()


@dataclass(frozen=True)
class Resampling:
    """One way to draw rows.

    Attributes:
        unit: what is drawn.
        count: number of rows, entities or distinct times.
        of_row: (n,) the unit of each row.
        block: number of successive times in a block; 1 for the other units.
        sign: the sign of its variance in the sum of all.
    """

    unit: Unit
    count: int
    of_row: Indices | None = None
    block: int = 1
    sign: int = 1

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.count if self.of_row is None else len(self.of_row)

    @property
    def independent(self) -> float:
        """Number of units that are drawn independently."""
        return self.count / self.block

    def counts(self, draws: int, seed: int = 0) -> Iterator[DrawCounts]:
        """Yield `draws` times the (n,) number of draws of each row. They depend only on the seed and the units."""
        random = np.random.default_rng(seed)
        for _ in range(draws):
            drawn = self._drawn(random)
            yield drawn if self.of_row is None else drawn[self.of_row]

    def _drawn(self, random: np.random.Generator) -> DrawCounts:
        if self.block == 1:
            return np.bincount(random.integers(0, self.count, self.count), minlength=self.count)
        starts = random.integers(0, self.count, math.ceil(self.count / self.block))
        lengths = np.full(len(starts), self.block)
        lengths[-1] = self.count - self.block * (len(starts) - 1)
        ends = starts + lengths
        steps = np.bincount(starts, minlength=self.count) - np.bincount(ends % self.count, minlength=self.count)
        return np.asarray(np.cumsum(steps) + int((ends >= self.count).sum()), dtype=np.int64)

    def __str__(self) -> str:
        """Name the units with their number.

        >>> str(Resampling("entity", 540)), str(Resampling("time", 365, block=8)), str(Resampling("row", 90))
        ('540 entities', '365 times in blocks of 8', '90 rows')
        """
        if self.unit == "time":
            return f"{self.count:,} times in blocks of {self.block:,}"
        return f"{self.count:,} {'rows' if self.unit == 'row' else 'entities'}"


def resamplings(
    rows: int, dependence: Dependence = INDEPENDENT, losses: Floats | None = None
) -> tuple[Resampling, ...]:
    """The ways to draw the rows: one, or three whose variances are combined.

    Args:
        rows: number of rows.
        dependence: entity and time of each row.
        losses: (n,) squared error of each row, or its difference between two models; for the length of blocks.
    """
    ways = [way for way in (_entities(dependence.keys), _blocks(dependence.times, losses)) if way is not None]
    if not ways:
        return (Resampling("row", rows),)
    return (*ways, Resampling("row", rows, sign=-1)) if len(ways) > 1 else tuple(ways)


def format_draws(ways: Sequence[Resampling]) -> str:
    """Name the units that are drawn.

    >>> format_draws([Resampling("entity", 540), Resampling("time", 365, block=8), Resampling("row", 900, sign=-1)])
    '540 entities, 365 times in blocks of 8'
    """
    return ", ".join(str(way) for way in ways if way.sign > 0)


def _entities(keys: npt.NDArray[Any] | None) -> Resampling | None:
    import pandas as pd

    if keys is None:
        return None
    codes, distinct = pd.factorize(keys)
    return Resampling("entity", len(distinct), np.asarray(codes)) if len(distinct) < len(keys) else None


def _blocks(times: Times | None, losses: Floats | None) -> Resampling | None:
    if times is None:
        return None
    distinct, of_row = np.unique(times, return_inverse=True)
    if len(distinct) < MIN_TIMES:
        return None
    block = math.ceil(len(distinct) ** (1 / 3))
    if losses is not None:
        sums = np.asarray(np.bincount(of_row, weights=losses - losses.mean()), dtype=np.float64)
        block = max(block, math.ceil(automatic_block_length(sums)))
    return Resampling("time", len(distinct), of_row, block)


def automatic_block_length(series: Floats) -> float:
    """The length of blocks that minimises the error of the variance of a mean; 1 for independent values.

    Politis & White, Econometric Reviews 23, 2004, corrected by Patton, Politis & White, 28, 2009.
    """
    count = len(series)
    centred = series - series.mean()
    most = math.ceil(min(3 * math.sqrt(count), count / 3))
    run = max(5, math.ceil(math.sqrt(math.log10(count))))
    last = min(math.ceil(math.sqrt(count)) + run, count - 1)
    lags_known = min(2 * last + 1, count)
    covariances = np.asarray([centred[: count - lag] @ centred[lag:] / count for lag in range(lags_known)])
    if covariances[0] <= 0:
        return 1.0
    small = np.abs(covariances[1 : last + 1] / covariances[0]) < 2 * math.sqrt(math.log10(count) / count)
    runs = [start for start in range(len(small) - run + 1) if small[start : start + run].all()]
    # Without a run of small correlations, the last large one counts.
    cut = runs[0] if runs else int(np.flatnonzero(~small)[-1]) + 1
    width = min(2 * max(cut, 1), len(covariances) - 1)
    lags = np.arange(1, width + 1)
    weights = np.clip(2 * (1 - lags / width), 0, 1)
    weighted = weights * covariances[1 : width + 1]
    spectrum = covariances[0] + 2 * weighted.sum()
    slope = 2 * (weighted * lags).sum()
    if spectrum <= 0:
        return float(most)
    return float(np.clip((1.5 * (slope / spectrum) ** 2 * count) ** (1 / 3), 1, most))
