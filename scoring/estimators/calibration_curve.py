"""Curves that calibrated probabilities pass through. Whoever serves takes no more than this of a calibration."""

from typing import Literal

import numpy as np

from lakehouse.arrays import Floats

CurveKind = Literal["sigmoid", "isotonic"]
CalibrationChoice = Literal["none", "auto", "sigmoid", "isotonic"]  # what a use case asks for

EDGE = 1e-9  # how near to 0 and 1 log-odds are taken
RISE = 0.01  # what the probability itself adds to a curve of steps


def calibrated_by(curve: CurveKind, numbers: Floats, probabilities: Floats) -> Floats:
    """(n,) what the curve makes of probabilities.

    Args:
        numbers: of a sigmoid, slope and intercept over the log-odds; of an isotonic curve (2, n), its points.

    >>> calibrated_by("sigmoid", np.asarray([1.0, 0.0]), np.asarray([0.25])).round(9).tolist()
    [0.25]
    """
    if curve == "sigmoid":
        slope, intercept = numbers
        inside = probabilities.clip(EDGE, 1 - EDGE)
        odds = slope * (np.log(inside) - np.log1p(-inside)) + intercept
        return np.asarray(np.exp(-np.logaddexp(0.0, -odds)), dtype=np.float64)
    steps = np.interp(probabilities, numbers[0], numbers[1])
    return np.asarray((1 - RISE) * steps + RISE * probabilities, dtype=np.float64)
