"""Wraps a compiled model that takes no missing numbers: fills them in, and appends a mark for each column.

It is the compiled form of scikit-learn's `SimpleImputer` in front of a model: a missing number becomes the median of
the fitted rows, and the marks follow behind all other features.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats
from scoring.compiled import Compiled, Row
from scoring.compiled.wrappers.wrapper import CompiledWrapper


@dataclass(frozen=True)
class Imputation:
    """Filling in of missing numbers.

    Attributes:
        indices: indices of the features that may be missing.
        medians: the number for each of them.
        marked: indices of the features that are marked: 1 where the number is missing, else 0.
    """

    indices: Sequence[int]
    medians: Sequence[float]
    marked: Sequence[int]

    def one(self, row: Row) -> list[float]:
        """A row without missing numbers, with its marks behind it; NaN alone differs from itself."""
        filled = [*row, *(1.0 if row[index] != row[index] else 0.0 for index in self.marked)]
        for index, median in zip(self.indices, self.medians, strict=True):
            if filled[index] != filled[index]:
                filled[index] = median
        return filled

    def many(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """(rows, features + marks) the same of (rows, features)."""
        filled = np.zeros((len(rows), rows.shape[1] + len(self.marked)), dtype=rows.dtype)
        filled[:, : rows.shape[1]] = rows
        for position, index in enumerate(self.marked, rows.shape[1]):
            filled[:, position] = np.isnan(rows[:, index].astype(np.float64)).astype(np.float64)
        for index, median in zip(self.indices, self.medians, strict=True):
            filled[np.isnan(rows[:, index].astype(np.float64)), index] = median
        return filled


@dataclass(frozen=True)
class CompiledImputed(CompiledWrapper):
    """A compiled model behind the filling in of missing numbers."""

    file: ClassVar[str] = "imputed.json"
    imputation: Imputation

    def predict_one(self, row: Row) -> float | list[float]:
        return self.inner.predict_one(self.imputation.one(row))

    def predict_many(self, rows: Floats) -> Floats:
        return self.inner.predict_many(self.imputation.many(rows))

    def fields(self) -> dict[str, Any]:
        return asdict(self.imputation)

    @classmethod
    def around(cls, inner: Compiled, fields: dict[str, Any]) -> Self:
        return cls(inner, Imputation(**fields))
