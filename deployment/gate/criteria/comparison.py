"""Gain of one version over another on the same rows, with confidence bounds from the paired bootstrap.

Rows are resampled in pairs (Efron & Tibshirani, An Introduction to the Bootstrap, 1993), as whole entities and blocks
of time: see `training.evaluation.resampling`. At most `1 - confidence` of the challengers that are worse by the
margin may be promoted. A quantile of finitely many resamples is itself uncertain, so each bound moves outward by two
of its standard errors. The benchmark `promotion` counts the errors.
"""

import math
from collections.abc import Iterator

import numpy as np

from lakehouse.arrays import Floats
from training.evaluation.bootstrap import Interval, combined
from training.evaluation.metrics import METRICS
from training.evaluation.resampling import DrawCounts, Resampling, resamplings
from training.evaluation.weighted_metrics import ScoredRows, weighted_metric

DRAWS = 500
BLOCK_CELLS = 500_000  # resampled rows in one block: fits the CPU caches
MIN_TAIL = 0.02  # smallest share of the draws whose quantile is taken; beyond it, the normal approximation


def gain(metric: str, new: ScoredRows, old: ScoredRows, confidence: float) -> Interval:
    """Gain of `new` over `old`, with a lower and an upper bound.

    Each bound holds with `confidence`, so the interval covers `2 * confidence - 1`. The bounds are NaN if a resample
    does not define the metric, or if all rows are of one entity.
    """
    measured = [weighted_metric(metric, outcomes) for outcomes in (new, old)]
    value = METRICS[metric].gain(new.metric(metric), over=old.metric(metric))
    drawn = [
        (
            way,
            np.concatenate(
                [METRICS[metric].loss(1.0) * (measured[1](each) - measured[0](each)) for each in _blocks(way, DRAWS)]
            ),
        )
        for way in draws_of(new, old)
    ]
    return combined(value, drawn, confidence, bounds)


def spent(confidence: float, attempt: int) -> float:
    """The confidence of a bound at the given attempt, so that the errors of all attempts add up to `1 - confidence`.

    >>> [round(spent(0.95, attempt), 4) for attempt in (1, 2, 10)]
    [0.9696, 0.9924, 0.9997]
    """
    return 1 - (1 - confidence) * 6 / (math.pi * attempt) ** 2


def draws_of(new: ScoredRows, old: ScoredRows) -> tuple[Resampling, ...]:
    """The ways to draw the rows that two versions are compared on."""
    return resamplings(len(new), new.dependence, new.squared_errors() - old.squared_errors())


def bounds(drawn: Floats, confidence: float) -> tuple[float, float]:
    """One-sided lower and upper bounds of the resampled gains.

    A tail of fewer than `MIN_TAIL` of the draws is extrapolated by their standard deviation, which also moves outward
    by two of its standard errors.

    >>> bounds(np.arange(1000.0), 0.95)
    (36.0, 963.0)
    """
    from scipy.stats import norm

    if not np.isfinite(drawn).all():
        return math.nan, math.nan
    tail = 1 - confidence
    beyond = max(tail, MIN_TAIL) * len(drawn)
    index = max(int(beyond - 2 * math.sqrt(beyond * (1 - beyond / len(drawn)))), 0)
    ordered = np.sort(drawn)
    low, high = float(ordered[index]), float(ordered[-1 - index])
    if tail < MIN_TAIL:
        reach = float(norm.isf(tail) * drawn.std() * (1 + math.sqrt(2 / len(drawn))))
        low, high = min(low, float(drawn.mean()) - reach), max(high, float(drawn.mean()) + reach)
    return low, high


def format_gain(interval: Interval) -> str:
    """Format a gain for the table of criteria.

    >>> format_gain(Interval(0.0123, 0.004, 0.02))
    '+0.0123, at least +0.0040'
    """
    return f"{interval.value:+.4f}, at least {interval.low:+.4f}"


def format_share(share: float) -> str:
    """Format an error rate with three digits.

    >>> format_share(0.05), format_share(0.0000449)
    ('5%', '0.00449%')
    """
    return f"{100 * share:.3g}%"


def _blocks(way: Resampling, draws: int) -> Iterator[DrawCounts]:
    """Yield blocks of shape (resamples, rows): the number of times each row was drawn."""
    block: list[DrawCounts] = []
    for counts in way.counts(draws):
        block.append(counts)
        if len(block) * len(counts) >= BLOCK_CELLS:
            yield np.stack(block)
            block = []
    if block:
        yield np.stack(block)
