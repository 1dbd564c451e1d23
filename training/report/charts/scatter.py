"""Many rows as few enough points: a seeded sample, and quantiles along an axis."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats

MOST_POINTS, BANDS = 800, 20


def sampled(rows: int, seed: int = 0) -> npt.NDArray[np.intp]:
    """The places of at most `MOST_POINTS` rows, ascending."""
    return np.sort(np.random.default_rng(seed).permutation(rows)[:MOST_POINTS])


def quantiles_along(x: Floats, y: Floats, shares: Sequence[float]) -> tuple[Floats, Floats]:
    """The mean of x and the quantiles of y in `BANDS` bands of equally many rows: (bands,) and (bands, shares)."""
    bands = [band for band in np.array_split(np.argsort(x, kind="stable"), BANDS) if len(band)]
    middles = np.array([x[band].mean() for band in bands])
    return middles, np.array([np.quantile(y[band], shares) for band in bands])
