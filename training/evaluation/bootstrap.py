"""Percentile intervals of metrics from the bootstrap, for one model or for the difference of two.

Each resample draws as many rows as there are, with replacement, and recomputes the metrics (Efron & Tibshirani, An
Introduction to the Bootstrap, 1993). The draws depend only on the seed and the number of rows: two models that are
scored on the same rows get the same draws.
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
    """A value on all rows, with the bounds of its confidence interval.

    Attributes:
        low, high: quantiles over the draws; NaN if a draw has no defined value, as one without a positive row.
    """

    value: float
    low: float
    high: float
    confidence: float = CONFIDENCE

    def __str__(self) -> str:
        """Format the value with its bounds.

        >>> str(Interval(0.67391, 0.66004, 0.68))
        '0.6739 (0.6600 to 0.6800)'
        """
        return f"{self.value:.4f} ({self.low:.4f} to {self.high:.4f})"


def resamples(rows: int, draws: int = RESAMPLES, seed: int = 0) -> Iterator[RowIndices]:
    """Yield `draws` times the indices of `rows` rows, drawn with replacement."""
    random = np.random.default_rng(seed)
    for _ in range(draws):
        yield random.integers(0, rows, rows)


def resampled_statistics(
    statistic: Callable[[RowIndices], float], rows: int, draws: int = RESAMPLES, seed: int = 0
) -> Floats:
    """(draws,) the statistic of each resample, computed from the indices of the drawn rows.

    >>> values = np.array([0.0, 0.0, 1.0, 1.0])
    >>> float(resampled_statistics(lambda rows: values[rows].mean(), rows=4).mean().round(1))
    0.5
    """
    return np.asarray([statistic(indices) for indices in resamples(rows, draws, seed)], dtype=np.float64)


def intervals(
    metrics: Callable[[RowIndices], Mapping[str, float]],
    rows: int,
    confidence: float = CONFIDENCE,
    draws: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Interval]:
    """Compute the interval of each metric, all on the same draws.

    Args:
        metrics: computes the metrics of the rows at the given indices, by name.
        rows: number of rows.
        confidence: the share of the draws between the bounds.
        draws: number of resamples.
        seed: of the draws.
    """
    values = metrics(np.arange(rows))
    resampled = [metrics(indices) for indices in resamples(rows, draws, seed)]
    tail = (1 - confidence) / 2
    bounds = {name: np.quantile([each[name] for each in resampled], [tail, 1 - tail]) for name in values}
    return {
        name: Interval(value, float(bounds[name][0]), float(bounds[name][1]), confidence)
        for name, value in values.items()
    }
