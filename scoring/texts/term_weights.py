"""Weights of terms beside scaled numbers: the step in front of a linear model or of distances for rows with texts."""

from collections.abc import Sequence
from math import log
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.preprocessing import StandardScaler

from lakehouse.arrays import Floats


class TermWeights(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """TF-IDF of the columns with counts of terms, and scaled numbers in the others; both are learned in `fit`.

    The weight of a term is `(1 + log(count)) * idf`, with `idf = log((1 + texts) / (1 + texts with the term)) + 1`.
    The weights of each text have length 1. A term that is in too few of the fitted texts has weight 0, so that the
    vocabulary is that of the fitted rows. Numbers are divided by their standard deviation.

    Attributes:
        texts: first column, column after the last one, and fewest texts of a term, for each text feature.
        shape: `arcsinh` or `as_is`: applied to the numbers before they are scaled.
        factors_: (columns,) the idf of a term, or the factor of a number.
    """

    def __init__(self, texts: Sequence[tuple[int, int, int]], shape: str = "as_is") -> None:
        self.texts = texts
        self.shape = shape

    def fit(self, x: sparse.csr_matrix, y: object = None) -> Self:
        """Learn the idf of each term and the scale of each number from (rows, columns)."""
        shaped = self._shaped(x)
        self.factors_ = 1 / StandardScaler(with_mean=False).fit(shaped).scale_
        found = x.getnnz(axis=0)
        for start, end, least in self.texts:
            texts = found[start:end]
            self.factors_[start:end] = np.where(texts < least, 0.0, np.log((1 + x.shape[0]) / (1 + texts)) + 1)
        return self

    def transform(self, x: sparse.csr_matrix) -> sparse.csr_matrix:
        """(rows, columns) weights and scaled numbers."""
        weighted = self._shaped(x)
        weighted.data *= self.factors_[weighted.indices]
        rows = np.repeat(np.arange(x.shape[0]), np.diff(weighted.indptr))
        for start, end, _ in self.texts:
            cells = np.flatnonzero((weighted.indices >= start) & (weighted.indices < end))
            # One after another in the order of the columns, as the compiled model adds them.
            squares = np.bincount(rows[cells], weights=weighted.data[cells] ** 2, minlength=x.shape[0])
            lengths = np.sqrt(np.where(squares == 0, 1.0, squares))
            weighted.data[cells] /= lengths[rows[cells]]
        return weighted

    def is_term(self, columns: int) -> npt.NDArray[np.bool_]:
        """(columns,) True for the columns of terms."""
        terms = np.zeros(columns, dtype=np.bool_)
        for start, end, _ in self.texts:
            terms[start:end] = True
        return terms

    def _shaped(self, x: sparse.csr_matrix) -> sparse.csr_matrix:
        """A copy with frequencies in place of counts, and the numbers in their shape."""
        shaped = sparse.csr_matrix(x, dtype=np.float64, copy=True)
        are_terms = self.is_term(x.shape[1])[shaped.indices]
        shaped.data[are_terms] = frequencies(shaped.data[are_terms])
        if self.shape == "arcsinh":
            shaped.data[~are_terms] = np.arcsinh(shaped.data[~are_terms])
        return shaped

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def frequency(count: int) -> float:
    """The frequency of a term that a text contains so often."""
    return 1.0 + log(count)


def frequencies(counts: Floats) -> Floats:
    """The frequency of each count, by the same arithmetic."""
    most = int(counts.max(initial=0))
    return np.asarray([0.0, *map(frequency, range(1, most + 1))])[counts.astype(np.intp)]
