"""What a neighbour counts for by its distance: for whoever fits and for whoever only answers."""

import numpy as np

from lakehouse.arrays import Floats

NEARLY_SAME = 1e-3  # of scaled columns, or of rows of length one


def by_distance(distances: Floats) -> Floats:
    """The inverse of each distance, levelling off below `NEARLY_SAME`.

    Between rows that are the same, x² + y² - 2xy is no 0 but its rounding, whose root is up to some 1e-6 and differs
    from machine to machine: the plain inverse would let it decide which of them counts.

    >>> by_distance(np.asarray([0.0, 0.5, 4.0])).round(4).tolist()
    [1000.0, 2.0, 0.25]
    """
    return np.asarray(1 / np.sqrt(np.square(distances) + NEARLY_SAME**2))
