"""Losses of forecasts, added up: enough for their mean, its error, and the coverage of the bounds."""

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats
from training.evaluation.metrics import FORECAST_LOSSES, within_bounds

OUTSIDE = "outside"  # 1 where the label is outside its bounds, else 0
LOSSES = (*FORECAST_LOSSES, OUTSIDE)
LOSS_SUMS = ("rows", "losses", "squares")


def losses_of(labels: npt.NDArray[np.floating], forecasts: Floats) -> dict[str, Floats]:
    """(n,) each loss by name; NaN where a number is missing or a scale is not above 0.

    Args:
        labels: (n,) true values.
        forecasts: (n, 4) value, lower bound, upper bound and scale.
    """
    known = np.isfinite(labels) & np.isfinite(forecasts).all(axis=1) & (forecasts[:, -1] > 0)
    found = {name: np.full(len(labels), np.nan) for name in LOSSES}
    for name, loss in FORECAST_LOSSES.items():
        found[name][known] = loss(labels[known], forecasts[known])
    found[OUTSIDE][known] = 1 - within_bounds(labels[known], forecasts[known])
    return found


def sums_of(labels: npt.NDArray[np.floating], forecasts: Floats) -> dict[str, Floats]:
    """`LOSS_SUMS` of each loss."""
    losses = {name: each[np.isfinite(each)] for name, each in losses_of(labels, forecasts).items()}
    return {name: np.asarray([len(each), each.sum(), (each**2).sum()]) for name, each in losses.items()}
