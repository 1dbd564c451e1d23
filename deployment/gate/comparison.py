"""By how much one version is better than another on the same rows, and how sure that is: the paired bootstrap.

Rows are drawn again in pairs (Efron & Tibshirani, An Introduction to the Bootstrap, 1993). Of the challengers that
are worse by the margin, at most `1 - confidence` may be promoted. A quantile of finitely many draws is uncertain
itself, so the bound lies two of its standard errors further out; the benchmark `promotion` counts what comes of it.
"""

import math
from collections.abc import Iterator

import numpy as np

from lakehouse.arrays import Floats
from training.evaluation.bootstrap import Interval, resamples
from training.evaluation.metrics import METRICS
from training.evaluation.weighted_metrics import DrawCounts, ScoredRows, counted

DRAWS = 500
CELLS = 500_000  # drawn rows at once: what the processor's caches hold


def gain(metric: str, new: ScoredRows, old: ScoredRows, confidence: float) -> Interval:
    """By how much `new` is better than `old`, with a bound on either side.

    Each bound holds with `confidence`, so the interval says `2 * confidence - 1`. Its bounds are NaN where a draw of
    the rows does not define the metric.
    """
    measured = [counted(metric, outcomes) for outcomes in (new, old)]
    better = METRICS[metric].gain
    value = better(new.metric(metric), over=old.metric(metric))
    blocks = _counts(len(new), DRAWS)
    drawn = np.concatenate([METRICS[metric].loss(1.0) * (measured[1](each) - measured[0](each)) for each in blocks])
    low, high = bounds(drawn, confidence)
    return Interval(value, low, high, 2 * confidence - 1)


def bounds(drawn: Floats, confidence: float) -> tuple[float, float]:
    """The lower and the upper bound of draws, each of them of one side.

    >>> bounds(np.arange(1000.0), 0.95)
    (36.0, 963.0)
    """
    if not np.isfinite(drawn).all():
        return math.nan, math.nan
    beyond = (1 - confidence) * len(drawn)
    place = max(int(beyond - 2 * math.sqrt(beyond * confidence)), 0)
    ordered = np.sort(drawn)
    return float(ordered[place]), float(ordered[-1 - place])


def shown(found: Interval) -> str:
    """A gain as a table shows it.

    >>> shown(Interval(0.0123, 0.004, 0.02))
    '+0.0123, at least +0.0040'
    """
    return f"{found.value:+.4f}, at least {found.low:+.4f}"


def _counts(rows: int, draws: int) -> Iterator[DrawCounts]:
    """(some draws, rows): how often each row was drawn."""
    block: list[DrawCounts] = []
    for places in resamples(rows, draws):
        block.append(np.bincount(places, minlength=rows))
        if len(block) * rows >= CELLS:
            yield np.stack(block)
            block = []
    if block:
        yield np.stack(block)
