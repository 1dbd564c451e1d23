"""The encodings of a use case together: from records to feature columns, and from those to one matrix."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from scoring.encodings import (
    Categorical,
    CategoryIndex,
    Cohort,
    Encoding,
    FeatureColumns,
    OneHot,
    Ordinal,
    Values,
    Vocabularies,
)

if TYPE_CHECKING:
    from scipy import sparse

FEW = 30  # categories that a refusal lists
UnknownCategories = Literal["refuse", "missing"]  # what becomes of a category that nobody listed
MatrixFormat = Literal["sparse", "dense"]  # what a learner takes: `Encoder.matrix`, or `Encoder.dense`


@dataclass(frozen=True)
class Matrix:
    """A sparse matrix of (rows, columns) float64, and the name of each column."""

    values: "sparse.csr_matrix"
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Encoder:
    """The encodings of a use case with the vocabularies they need, frozen at training.

    Attributes:
        encodings: in the order of the feature table.
        vocabularies: for each index table the categories by their integer; place 0 stands for unknown.
        features: the feature columns that the model takes, in matrix order.
        unknown_categories: of records; in feature columns an index newer than the vocabulary is always 0.
    """

    encodings: tuple[Encoding, ...]
    vocabularies: Vocabularies
    features: tuple[str, ...]
    unknown_categories: UnknownCategories = "refuse"

    def accepts(self, encoding: Encoding, value: object) -> bool:
        """Whether a record may have the value: as the encoding says, and of an index a category that it has."""
        if self.unknown_categories == "missing" and isinstance(encoding, Categorical):
            return value is None or isinstance(value, str)
        if isinstance(encoding, CategoryIndex) and isinstance(value, str):
            return value in self._listed[encoding.index]
        return encoding.accepts(value)

    def expected(self, encoding: Encoding) -> str:
        """The same in words."""
        if isinstance(encoding, Categorical) and self.unknown_categories == "missing":
            return "text or null"
        if not isinstance(encoding, CategoryIndex):
            return encoding.expected()
        categories = self.categories_of(encoding)
        few = len(categories) <= FEW
        return (f"one of {', '.join(categories)}" if few else f"a category of {encoding.index}") + " or null"

    def categories_of(self, encoding: OneHot | Ordinal | CategoryIndex) -> Sequence[str]:
        """The categories that an encoding lists."""
        return self.vocabularies[encoding.index][1:] if isinstance(encoding, CategoryIndex) else encoding.categories

    def features_of(self, records: Sequence[Mapping[str, Any]]) -> dict[str, Values]:
        """The feature columns of raw records that have been checked before."""
        columns: dict[str, Values] = {}
        for encoding in self.encodings:
            values = [self._read(encoding, record[encoding.column]) for record in records]
            columns |= encoding.encode(values, self.vocabularies)
        return {name: columns[name] for name in self.features}

    def matrix(self, columns: FeatureColumns) -> Matrix:
        """Feature columns side by side; an index of n categories as n + 1 columns of 0/1 in sparse form.

        Nothing is widened: an index column of any cardinality costs one stored value a row. The arrays of the result
        are filled in place, so that nothing of their size exists beside them.
        """
        from scipy import sparse  # whoever answers by a compiled form does without

        sizes = self._index_sizes()
        rows = len(columns[self.features[0]]) if self.features else 0
        row_ends = np.zeros(rows + 1, dtype=np.int64)
        for feature in self.features:
            row_ends[1:] += 1 if feature in sizes else columns[feature] != 0
        np.cumsum(row_ends, out=row_ends)
        data = np.empty(row_ends[-1])
        indices = np.empty(row_ends[-1], dtype=np.int32 if row_ends[-1] < 2**31 else np.int64)
        free, names = row_ends[:-1].copy(), list[str]()
        for feature in self.features:
            values = columns[feature]
            if feature in sizes:
                # A category that is newer than the vocabulary is unknown to the model.
                indices[free] = len(names) + np.where(values < sizes[feature], values, 0)
                data[free] = 1
                free += 1
                names += [f"{feature}={i}" for i in range(sizes[feature])]
            else:
                filled = np.flatnonzero(values)
                indices[free[filled]] = len(names)
                data[free[filled]] = values[filled]
                free[filled] += 1
                names.append(feature)
        row_ends = row_ends.astype(indices.dtype)
        return Matrix(sparse.csr_matrix((data, indices, row_ends), shape=(rows, len(names))), tuple(names))

    def dense(self, columns: FeatureColumns) -> npt.NDArray[np.float64]:
        """(rows, features) feature columns side by side; an index newer than the vocabulary is 0, unknown."""
        sizes = self._index_sizes()
        rows = len(columns[self.features[0]]) if self.features else 0
        values = np.empty((rows, len(self.features)))
        for place, feature in enumerate(self.features):
            column = columns[feature]
            values[:, place] = np.where(column < sizes[feature], column, 0) if feature in sizes else column
        return values

    def inputs(self, form: MatrixFormat, columns: FeatureColumns) -> Any:
        """Feature columns in the form that a learner takes."""
        return self.matrix(columns).values if form == "sparse" else self.dense(columns)

    def categories(self) -> Mapping[int, int]:
        """Of each feature that is an index, by its place in `dense`, how many categories it has, unknown included."""
        sizes = self._index_sizes()
        return {place: sizes[feature] for place, feature in enumerate(self.features) if feature in sizes}

    def _read(self, encoding: Encoding, value: Any) -> Any:
        """A category that nobody listed as a missing one; anything else as it is."""
        unlisted = isinstance(encoding, OneHot | Ordinal) and value not in encoding.categories
        return None if unlisted else value

    @cached_property
    def _listed(self) -> Mapping[str, frozenset[str]]:
        return {index: frozenset(words[1:]) for index, words in self.vocabularies.items()}

    def _index_sizes(self) -> dict[str, int]:
        sizes = {e.feature: len(self.vocabularies[e.index]) for e in self.encodings if isinstance(e, CategoryIndex)}
        return sizes | {e.feature: len(e.bounds) + 2 for e in self.encodings if isinstance(e, Cohort)}
