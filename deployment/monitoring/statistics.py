"""Statistics on counts: two-sample tests, their correction, and effect sizes. Pure functions, without I/O."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

from lakehouse.arrays import Floats

LEAST_EXPECTED = 5.0  # rows of a cell of a chi-square test; smaller cells are joined


def ks_p(reference: Floats, window: Floats) -> tuple[float, float]:
    """The distance of two distributions over the same ordered bins, and its p-value (Kolmogorov-Smirnov).

    Values of one bin count as equal. The distance can only shrink by that, so the p-value errs on the safe side.

    Args:
        reference, window: (bins,) counts.

    >>> ks_p(np.array([50.0, 50.0]), np.array([50.0, 50.0]))
    (0.0, 1.0)
    """
    n, m = reference.sum(), window.sum()
    if n == 0 or m == 0:
        return 0.0, 1.0
    distance = float(np.abs(np.cumsum(reference) / n - np.cumsum(window) / m).max())
    size = np.sqrt(n * m / (n + m))
    # Stephens' correction of the limit distribution for finite samples.
    return distance, float(stats.kstwobign.sf(distance * (size + 0.12 + 0.11 / size)))


def chi_square_p(reference: Floats, window: Floats) -> tuple[float, float]:
    """The statistic and p-value of homogeneity of two samples; cells with few expected rows are joined.

    Args:
        reference, window: (bins,) counts.
    """
    n, m = reference.sum(), window.sum()
    if n == 0 or m == 0:
        return 0.0, 1.0
    smaller = min(n, m) / (n + m)
    expected = (reference + window) * smaller
    small = expected < LEAST_EXPECTED
    cells = np.stack([reference[~small], window[~small]])
    if expected[small].sum() > 0:
        cells = np.column_stack([cells, [reference[small].sum(), window[small].sum()]])
        last = cells[:, -1].sum() * smaller
        if last < LEAST_EXPECTED and cells.shape[1] > 1:  # the rest is small as well: it joins the smallest cell
            at = int(np.argmin(cells[:, :-1].sum(axis=0)))
            cells[:, at] += cells[:, -1]
            cells = cells[:, :-1]
    if cells.shape[1] < 2:
        return 0.0, 1.0
    found = stats.chi2_contingency(cells, correction=False)
    return float(found.statistic), float(found.pvalue)


def higher_share_p(reference: tuple[float, float], window: tuple[float, float]) -> float:
    """The p-value that a share is no higher than in the reference: Fisher's exact test, one-sided.

    Args:
        reference, window: (number of such rows, number of rows).
    """
    hits, rows = (round(reference[0]) + round(window[0]), round(reference[1]) + round(window[1]))
    if window[1] == 0 or reference[1] == 0:
        return 1.0
    return float(stats.hypergeom.sf(round(window[0]) - 1, rows, hits, round(window[1])))


def above_limit_p(hits: float, rows: float, limit: float) -> float:
    """The p-value that a share is at most a limit: the exact binomial test, one-sided."""
    return 1.0 if rows == 0 else float(stats.binom.sf(round(hits) - 1, round(rows), limit))


def psi(reference: Floats, window: Floats) -> float:
    """The population stability index, calibrated: its mean under no drift is subtracted, down to 0.

    Without drift the plain index is about chi-square with bins - 1 degrees, times (1 / n + 1 / m) (Yurdakul 2018).

    Args:
        reference, window: (bins,) counts.
    """
    n, m = reference.sum(), window.sum()
    if n == 0 or m == 0:
        return 0.0
    used = reference + window > 0
    p = (reference[used] + 0.5) / (n + 0.5 * used.sum())
    q = (window[used] + 0.5) / (m + 0.5 * used.sum())
    plain = float(((q - p) * np.log(q / p)).sum())
    return max(0.0, plain - float((int(used.sum()) - 1) * (1 / n + 1 / m)))


def coarse(counts: Floats, reference: Floats, most: int = 10) -> Floats:
    """Counts of ordered bins, joined to at most `most` with about equal shares of the reference."""
    total = reference.sum()
    if len(counts) <= most or total == 0:
        return counts
    middle = (np.cumsum(reference) - reference / 2) / total
    groups = np.minimum((middle * most).astype(np.int64), most - 1)
    return np.bincount(groups, counts, minlength=most).astype(np.float64)


def wasserstein(centres: Floats, reference: Floats, window: Floats) -> float:
    """The distance to move between two distributions over bins, in units of the reference's standard deviation.

    Args:
        centres: (bins,) the value of each bin.
        reference, window: (bins,) counts.
    """
    n = reference.sum()
    if n == 0 or window.sum() == 0:
        return 0.0
    mean = float((centres * reference).sum() / n)
    spread = float(np.sqrt(((centres - mean) ** 2 * reference).sum() / n))
    moved = float(stats.wasserstein_distance(centres, centres, reference, window))
    return moved / spread if spread > 0 else 0.0


def benjamini_hochberg(p_values: Sequence[float], rate: float) -> npt.NDArray[np.bool_]:
    """(n,) True for the rejected hypotheses, so that at most this rate of the rejections is false on average.

    Without any drift, the share of windows with a rejection is at most the rate.

    >>> benjamini_hochberg([0.001, 0.02, 0.9], 0.05).tolist()
    [True, True, False]
    """
    return np.asarray(stats.false_discovery_control(np.asarray(p_values, dtype=np.float64)) <= rate, dtype=np.bool_)
