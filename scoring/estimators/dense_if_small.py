"""Dense rows for learners that are much faster on them, within a memory limit."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin

LIMIT_BYTES = 256 * 2**20
LARGEST = float(np.finfo(np.float32).max)


class DenseIfSmall(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Converts sparse rows to dense ones if the dense training matrix takes at most 256 MiB.

    Fitting decides, and prediction follows. Distances over 45 dense columns are 15 times as fast as over sparse ones
    (38,000 rows). A dense matrix of 11,000 columns would not fit into memory.
    """

    def fit(self, x: sparse.csr_matrix, y: object = None) -> Self:
        rows, columns = x.shape
        self.dense_ = rows * columns * np.dtype(np.float32).itemsize <= LIMIT_BYTES
        return self

    def transform(self, x: sparse.csr_matrix) -> sparse.csr_matrix | npt.NDArray[np.float32]:
        if not self.dense_:
            return x
        # Single precision halves the memory and the time of a distance.
        return x.toarray().clip(-LARGEST, LARGEST).astype(np.float32)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
