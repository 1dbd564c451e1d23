"""Forecasts in the unit of the label, from predictions in scales above the level of a row."""

import numpy as np

from lakehouse.arrays import Floats


def bounded_forecasts(
    predicted: Floats, level: Floats, scale: Floats, step: Floats, bounds: tuple[Floats, Floats]
) -> Floats:
    """(rows, 4) value, lower bound, upper bound and scale.

    Args:
        predicted, level, scale, step: (rows,) of each row: (label - level) / scale, and its steps after the origin.
        bounds: (steps,) lower and upper bounds at each step, in scales from the value; the last ones hold for later
            steps too.
    """
    value = level + scale * predicted
    lower, upper = (each[np.clip(step, 0, len(each) - 1).astype(np.intp)] for each in bounds)
    return np.stack([value, value + scale * lower, value + scale * upper, scale], axis=1)
