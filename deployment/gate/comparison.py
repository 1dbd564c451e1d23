"""Gain of one version over another on the same rows, with confidence bounds from the paired bootstrap.

Rows are resampled in pairs (Efron & Tibshirani, An Introduction to the Bootstrap, 1993). At most `1 - confidence` of
the challengers that are worse by the margin may be promoted. A quantile of finitely many resamples is itself
uncertain, so each bound moves outward by two of its standard errors. The benchmark `promotion` counts the errors.
"""

import math
from collections.abc import Iterator

import numpy as np

from lakehouse.arrays import Floats
from training.evaluation.bootstrap import Interval, resamples
from training.evaluation.metrics import METRICS
from training.evaluation.weighted_metrics import DrawCounts, ScoredRows, weighted_metric

DRAWS = 500
BLOCK_CELLS = 500_000  # resampled rows in one block: fits the CPU caches


def gain(metric: str, new: ScoredRows, old: ScoredRows, confidence: float) -> Interval:
    """Gain of `new` over `old`, with a lower and an upper bound.

    Each bound holds with `confidence`, so the interval covers `2 * confidence - 1`. The bounds are NaN if a resample
    does not define the metric.
    """
    measured = [weighted_metric(metric, outcomes) for outcomes in (new, old)]
    better = METRICS[metric].gain
    value = better(new.metric(metric), over=old.metric(metric))
    blocks = _counts(len(new), DRAWS)
    drawn = np.concatenate([METRICS[metric].loss(1.0) * (measured[1](each) - measured[0](each)) for each in blocks])
    low, high = bounds(drawn, confidence)
    return Interval(value, low, high, 2 * confidence - 1)


def bounds(drawn: Floats, confidence: float) -> tuple[float, float]:
    """One-sided lower and upper bounds of the resampled gains.

    >>> bounds(np.arange(1000.0), 0.95)
    (36.0, 963.0)
    """
    if not np.isfinite(drawn).all():
        return math.nan, math.nan
    beyond = (1 - confidence) * len(drawn)
    index = max(int(beyond - 2 * math.sqrt(beyond * confidence)), 0)
    ordered = np.sort(drawn)
    return float(ordered[index]), float(ordered[-1 - index])


def format_gain(interval: Interval) -> str:
    """Format a gain for the table of criteria.

    >>> format_gain(Interval(0.0123, 0.004, 0.02))
    '+0.0123, at least +0.0040'
    """
    return f"{interval.value:+.4f}, at least {interval.low:+.4f}"


def _counts(rows: int, draws: int) -> Iterator[DrawCounts]:
    """Yield blocks of shape (resamples, rows): the number of times each row was drawn."""
    block: list[DrawCounts] = []
    for indices in resamples(rows, draws):
        block.append(np.bincount(indices, minlength=rows))
        if len(block) * rows >= BLOCK_CELLS:
            yield np.stack(block)
            block = []
    if block:
        yield np.stack(block)
