"""How sure a metric is: percentile intervals of the bootstrap, for one model or for the difference of two.

Rows are drawn again with replacement, as many as there are, and the metrics taken anew (Efron & Tibshirani, An
Introduction to the Bootstrap, 1993). Draws depend on the seed and the number of rows alone: two models that are asked
on the same rows meet the same draws.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats

RowIndices = npt.NDArray[np.intp]

RESAMPLES = 500
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A value on all rows, and the bounds between which its confidence lies.

    Attributes:
        low, high: the quantiles of the draws; NaN where a draw gave no number, as one without a positive row.
    """

    value: float
    low: float
    high: float
    confidence: float = CONFIDENCE

    def __str__(self) -> str:
        """As a sentence has it.

        >>> str(Interval(0.67391, 0.66004, 0.68))
        '0.6739 (0.6600 to 0.6800)'
        """
        return f"{self.value:.4f} ({self.low:.4f} to {self.high:.4f})"


def resamples(rows: int, draws: int = RESAMPLES, seed: int = 0) -> Iterator[RowIndices]:
    """`draws` times the places of `rows` rows, drawn with replacement."""
    draw = np.random.default_rng(seed)
    for _ in range(draws):
        yield draw.integers(0, rows, rows)


def drawn(statistic: Callable[[RowIndices], float], rows: int, draws: int = RESAMPLES, seed: int = 0) -> Floats:
    """(draws,) what the statistic says of each resample; it gets the places of the drawn rows.

    >>> values = np.array([0.0, 0.0, 1.0, 1.0])
    >>> float(drawn(lambda rows: values[rows].mean(), rows=4).mean().round(1))
    0.5
    """
    return np.asarray([statistic(places) for places in resamples(rows, draws, seed)], dtype=np.float64)


def intervals(
    metrics: Callable[[RowIndices], Mapping[str, float]],
    rows: int,
    confidence: float = CONFIDENCE,
    draws: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Interval]:
    """The interval of each metric, all of them on the same draws.

    Args:
        metrics: the metrics of the rows at the given places, by name.
        rows: how many there are.
        confidence: the share of the draws between the bounds.
        draws: how many resamples.
        seed: of the draws.
    """
    found = metrics(np.arange(rows))
    again = [metrics(places) for places in resamples(rows, draws, seed)]
    tail = (1 - confidence) / 2
    bounds = {name: np.quantile([each[name] for each in again], [tail, 1 - tail]) for name in found}
    return {
        name: Interval(value, float(bounds[name][0]), float(bounds[name][1]), confidence)
        for name, value in found.items()
    }
