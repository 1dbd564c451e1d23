"""A model that reads some columns of a row and passes over the others."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin


class ColumnSubset(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Takes rows, sparse or dense, to those of their columns that stand at `places`; there is nothing to fit."""

    def __init__(self, places: npt.NDArray[np.intp]) -> None:
        self.places = places

    def fit(self, x: Any, y: object = None) -> Self:
        return self

    def transform(self, x: Any) -> Any:
        return x[:, self.places]

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.requires_fit = False
        return tags
