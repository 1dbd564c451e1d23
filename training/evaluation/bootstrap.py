"""Percentile intervals of metrics from the bootstrap, for one model or for the difference of two.

Each resample draws as many units as there are, with replacement, and recomputes the metrics (Efron & Tibshirani, An
Introduction to the Bootstrap, 1993). The units are those of `training.evaluation.resampling`. The draws depend only
on the seed and the units: two models that are scored on the same rows get the same draws.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lakehouse.arrays import Floats
from training.evaluation.resampling import DrawCounts, Resampling

RESAMPLES = 500
CONFIDENCE = 0.95

Quantiles = Callable[[Floats, float], tuple[float, float]]  # of (draws,) values, at a one-sided confidence


@dataclass(frozen=True)
class Interval:
    """A value on all rows, with the bounds of its confidence interval.

    Attributes:
        low, high: quantiles over the draws; NaN if one of them has no defined value, or all rows have none.
    """

    value: float
    low: float
    high: float
    confidence: float = CONFIDENCE

    def within(self, lowest: float, highest: float) -> "Interval":
        """The interval without what lies beyond the possible values. NaN bounds stay."""
        low, high = np.clip([self.low, self.high], lowest, highest)
        return Interval(self.value, float(low), float(high), self.confidence)

    def __str__(self) -> str:
        """Format the value with its bounds.

        >>> str(Interval(0.67391, 0.66004, 0.68))
        '0.6739 (0.6600 to 0.6800)'
        """
        return f"{self.value:.4f} ({self.low:.4f} to {self.high:.4f})"


def quantiles(drawn: Floats, confidence: float) -> tuple[float, float]:
    """One-sided lower and upper quantiles of the drawn values."""
    low, high = np.quantile(drawn, [1 - confidence, confidence])
    return float(low), float(high)


def combined(
    value: float,
    drawn: Sequence[tuple[Resampling, Floats]],
    confidence: float = (1 + CONFIDENCE) / 2,
    of: Quantiles = quantiles,
) -> Interval:
    """The interval of a value from the draws of one resampling, or of several whose variances are combined.

    Args:
        value: the value on all rows.
        drawn: each resampling with its (draws,) values.
        confidence: level of each bound; the interval covers `2 * confidence - 1`.
        of: the quantiles of drawn values.
    """
    covered = 2 * confidence - 1
    found = [(way, *of(values, confidence)) for way, values in drawn]
    if not math.isfinite(value + sum(low + high for _, low, high in found)):
        return Interval(value, math.nan, math.nan, covered)
    if len(found) == 1 and found[0][0].unit == "row":
        return Interval(value, *found[0][1:], covered)
    if any(way.independent < 2 for way, *_ in found):
        return Interval(value, math.nan, math.nan, covered)
    below = _half_width([(way, value - low) for way, low, _ in found], confidence)
    above = _half_width([(way, high - value) for way, _, high in found], confidence)
    return Interval(value, value - below, value + above, covered)


def _half_width(widths: Sequence[tuple[Resampling, float]], confidence: float) -> float:
    """The root of the summed squares, at least the largest of the added ones.

    Few clusters vary more than many: each width is multiplied by the ratio of Student's t to the normal quantile
    (Cameron & Miller, J. Human Resources 50, 2015).
    """
    from scipy.stats import norm, t

    squares = []
    for way, width in widths:
        count = way.independent
        few = 1.0 if way.unit == "row" else float(t.ppf(confidence, count - 1) / norm.ppf(confidence))
        squares.append((way.sign, (few * max(width, 0.0)) ** 2))
    total = sum(sign * square for sign, square in squares)
    return math.sqrt(max(total, *(square for sign, square in squares if sign > 0)))


def intervals(
    metrics: Callable[[DrawCounts], Mapping[str, float]],
    ways: Sequence[Resampling],
    confidence: float = CONFIDENCE,
    draws: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Interval]:
    """Compute the interval of each metric, all on the same draws.

    Args:
        metrics: computes the metrics by name from the (n,) number of draws of each row.
        ways: the ways to draw the rows, from `resamplings`.
        confidence: the share of the draws between the bounds.
        draws: number of resamples.
        seed: of the draws.
    """
    values = metrics(np.ones(ways[0].rows, dtype=np.int64))
    drawn = [(way, [metrics(counts) for counts in way.counts(draws, seed)]) for way in ways]
    return {
        name: combined(
            value, [(way, np.asarray([each[name] for each in found])) for way, found in drawn], (1 + confidence) / 2
        )
        for name, value in values.items()
    }
