"""Calibration curves; serving needs no other module of calibration.

Logarithms and exponentials are those of the C library, one number at a time. numpy's vectorised ones differ from
them in the last bit on a processor with AVX-512, and a version has one answer wherever it is loaded.
"""

from math import exp, log, log1p
from typing import Literal

import numpy as np

from lakehouse.arrays import Floats, each

CurveKind = Literal["sigmoid", "isotonic"]
CalibrationChoice = Literal["none", "auto", "sigmoid", "isotonic"]  # in use cases

EDGE = 1e-9  # log-odds are computed of probabilities at least this far from 0 and 1
RISE = 0.01  # share of the probability itself in an isotonic curve, which makes it rise everywhere


def calibrated_by(curve: CurveKind, numbers: Floats, probabilities: Floats) -> Floats:
    """(n,) calibrated probabilities.

    Args:
        numbers: slope and intercept over the log-odds for a sigmoid; (2, n) points for an isotonic curve.

    >>> calibrated_by("sigmoid", np.asarray([1.0, 0.0]), np.asarray([0.25])).round(9).tolist()
    [0.25]
    """
    if curve == "sigmoid":
        slope, intercept = numbers
        inside = probabilities.clip(EDGE, 1 - EDGE)
        odds = slope * (each(log, inside) - each(log1p, -inside)) + intercept
        return each(exp, -np.logaddexp(0.0, -odds))
    steps = np.interp(probabilities, numbers[0], numbers[1])
    return np.asarray((1 - RISE) * steps + RISE * probabilities, dtype=np.float64)
