"""Partial dependence: the mean prediction over sampled rows if all of them had one value of an input.

The value comes from a donor row, with all feature columns of the input at once: a one-hot category, or a number with
its cohort and its missing flag, stays consistent. Source: Friedman, Greedy Function Approximation (2001).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats
from scoring.encodings import FeatureColumns
from training.report.importance import Predictor
from training.report.input_values import Reading

ROWS, GRID, MOST_CATEGORIES = 300, 16, 12
TAIL = 0.01  # of the rows at each end, whose values have no point


@dataclass(frozen=True)
class PartialDependence:
    """The curve of one input.

    Attributes:
        texts: (points,) values of the input.
        levels: (points,) the same as numbers on a scale; None for categories, flags and numbers of few values.
        means: (points, outputs) mean predictions.
        shares: (points,) share of the rows nearest to each value.
    """

    texts: tuple[str, ...]
    levels: Floats | None
    means: Floats
    shares: Floats


def partial_dependence(
    model: Predictor, rows: FeatureColumns, donors: FeatureColumns, reading: Reading, group: Sequence[str]
) -> PartialDependence:
    """Predict the rows once for each of at most `GRID` numbers, or of the most frequent categories.

    Args:
        model: computes (rows,) or (rows, outputs) from feature columns.
        rows: rows whose other inputs stay as they are.
        donors: rows that give the values of the input; their distribution is that of `shares`.
        reading: the value of the input in each donor row.
        group: the feature columns of the input.
    """
    chosen, shares, on_scale = _grid(reading)
    size = len(next(iter(rows.values())))
    repeated = {name: np.tile(values, len(chosen)) for name, values in rows.items()}
    repeated |= {name: np.repeat(donors[name][chosen], size) for name in group}
    predicted = model(repeated)
    means = predicted.reshape(len(chosen), size, -1).mean(axis=1)
    levels = reading.levels[chosen] if on_scale and reading.levels is not None else None
    return PartialDependence(tuple(reading.texts[index] for index in chosen.tolist()), levels, means, shares)


def _grid(reading: Reading) -> tuple[npt.NDArray[np.intp], Floats, bool]:
    """A donor row for each point, the share of the donors at it, and True if the points are on a scale."""
    if reading.levels is None or len(np.unique(reading.levels)) <= MOST_CATEGORIES:
        _, first, counts = np.unique(np.asarray(reading.texts), return_index=True, return_counts=True)
        order = np.argsort(-counts, kind="stable")[:MOST_CATEGORIES]
        if reading.levels is not None:
            order = order[np.argsort(reading.levels[first[order]], kind="stable")]
        return first[order], counts[order] / len(reading.texts), False
    # Half of the points where the rows are, and half where the values are: rare values would have none.
    low, high = np.quantile(reading.levels, [TAIL, 1 - TAIL])
    inner = np.sort(reading.levels[(reading.levels >= low) & (reading.levels <= high)])
    distinct = np.unique(inner)
    points = {float(each[at]) for each in (inner, distinct) for at in _evenly(len(each), GRID // 2)}
    levels = np.array(sorted(points))
    chosen = np.array([int(np.flatnonzero(reading.levels == level)[0]) for level in levels], dtype=np.intp)
    nearest = np.abs(reading.levels[:, None] - levels[None, :]).argmin(axis=1)
    return chosen, np.bincount(nearest, minlength=len(levels)) / len(reading.levels), True


def _evenly(count: int, points: int) -> list[int]:
    positions: list[int] = np.unique(np.linspace(0, count - 1, points).round().astype(np.int64)).tolist()
    return positions
