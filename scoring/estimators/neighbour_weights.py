"""k-NN distance weights shared by training and serving."""

import numpy as np

from lakehouse.arrays import Floats

NEARLY_SAME = 1e-3  # in scaled columns, or between rows of length one


def inverse_distance(distances: Floats) -> Floats:
    """The inverse of each distance, levelling off below `NEARLY_SAME`.

    Between equal rows, rounding makes x² + y² - 2xy a small number instead of 0. Its root is up to about 1e-6 and
    differs between machines, so the plain inverse would weight equal rows by their rounding errors.

    >>> inverse_distance(np.asarray([0.0, 0.5, 4.0])).round(4).tolist()
    [1000.0, 2.0, 0.25]
    """
    return np.asarray(1 / np.sqrt(np.square(distances) + NEARLY_SAME**2))
