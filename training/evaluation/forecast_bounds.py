"""Bounds of forecasts: quantiles of scaled errors at each step, with the correction of conformal prediction."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats
from scoring.predictions import QUANTILES

MOST_STEPS = 1_000  # beyond them the bounds of the last one hold
FEWEST_ERRORS = 20  # of a step of its own; a step with fewer takes those of all steps


def residual_bounds(errors: Floats, steps: npt.NDArray[Any]) -> tuple[Floats, Floats]:
    """(steps,) lower and upper bounds at each step from 0, in scales from the value.

    Of n errors and another one, all exchangeable, it is at most the k-th smallest with probability k / (n + 1).
    So the bounds are order statistics at the quantiles of n + 1 errors (Lei et al., JASA 113, 2018), each side on its
    own. A bound never excludes the value.

    Args:
        errors: (n,) label minus value, in scales.
        steps: (n,) steps from the origin.
    """
    places = np.clip(steps, 0, MOST_STEPS - 1).astype(np.intp)
    count = int(places.max()) + 1
    lower, upper = np.empty(count), np.empty(count)
    ordered = np.sort(errors)
    for step in range(count):
        own = np.sort(errors[places == step])
        lower[step], upper[step] = _bounds(own if len(own) >= FEWEST_ERRORS else ordered)
    return lower, upper


def _bounds(ordered: Floats) -> tuple[float, float]:
    low, high = (share * (len(ordered) + 1) for share in QUANTILES)
    first, last = max(math.floor(low) - 1, 0), min(math.ceil(high) - 1, len(ordered) - 1)
    return min(float(ordered[first]), 0.0), max(float(ordered[last]), 0.0)
