"""A pipeline step that keeps some columns of its rows."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin


class ColumnSubset(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Keeps the given columns of sparse or dense rows; there is nothing to fit."""

    def __init__(self, columns: npt.NDArray[np.intp]) -> None:
        self.columns = columns

    def fit(self, x: Any, y: object = None) -> Self:
        return self

    def transform(self, x: Any) -> Any:
        return x[:, self.columns]

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.requires_fit = False
        return tags
