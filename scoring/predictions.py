"""What is predicted, in one form for each task.

Of `binary` (n,) probabilities of label 1, of `multiclass` (n, classes) probabilities, of `regression` (n,) numbers.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats

Task = Literal["binary", "multiclass", "regression"]


def decided(predicted: Floats, threshold: float) -> npt.NDArray[np.int64]:
    """(n,) the class that is decided for: of several the most probable, of two label 1 from the threshold on."""
    return np.asarray(predicted.argmax(axis=1) if predicted.ndim > 1 else predicted >= threshold, dtype=np.int64)
