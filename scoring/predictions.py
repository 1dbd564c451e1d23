"""Decisions from predictions: (n,) probabilities of label 1, or (n, classes) probabilities."""

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats


def decisions(predicted: Floats, threshold: float) -> npt.NDArray[np.int64]:
    """(n,) the index of the decided class.

    Among several classes the most probable one; among two, label 1 at the threshold or above.
    """
    return np.asarray(predicted.argmax(axis=1) if predicted.ndim > 1 else predicted >= threshold, dtype=np.int64)
