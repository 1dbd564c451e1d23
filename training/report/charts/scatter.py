"""Reduction of many rows to few points: a seeded sample, and quantiles along an axis."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats

MAX_POINTS, BANDS = 800, 20


def sampled(rows: int, seed: int = 0) -> npt.NDArray[np.intp]:
    """Indices of at most `MAX_POINTS` random rows, ascending."""
    return np.sort(np.random.default_rng(seed).permutation(rows)[:MAX_POINTS])


def quantiles_along(x: Floats, y: Floats, shares: Sequence[float]) -> tuple[Floats, Floats]:
    """Mean of x and quantiles of y in `BANDS` bands of equal row counts: (bands,) and (bands, shares)."""
    bands = [band for band in np.array_split(np.argsort(x, kind="stable"), BANDS) if len(band)]
    middles = np.array([x[band].mean() for band in bands])
    return middles, np.array([np.quantile(y[band], shares) for band in bands])
