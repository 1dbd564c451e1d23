"""Array types by element type."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Indices = npt.NDArray[np.intp]
Times = npt.NDArray[np.datetime64]
Mask = npt.NDArray[np.bool_]
