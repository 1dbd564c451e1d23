"""The encodings of a use case together: from records to feature columns, and from those to one matrix."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from scoring.encodings import Encoding, FeatureColumns, UnknownCategories, Values, Vocabularies
from scoring.encodings.field_types import RequestFields

if TYPE_CHECKING:
    from scipy import sparse

MatrixFormat = Literal["sparse", "dense"]  # input of a learner: `Encoder.matrix` or `Encoder.dense`


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
        vocabularies: the categories of each index table by their integer; 0 stands for unknown.
        features: the feature columns that the model reads, in matrix order.
        unknown_categories: policy for records; in feature columns an index newer than the vocabulary is always 0.
    """

    encodings: tuple[Encoding, ...]
    vocabularies: Vocabularies
    features: tuple[str, ...]
    unknown_categories: UnknownCategories = "refuse"

    def known_categories(self, index_table: str) -> frozenset[str]:
        """The categories of an index table, for quick membership tests."""
        return self._known_categories[index_table]

    def by_column(self) -> Mapping[str, Sequence[Encoding]]:
        """Encodings by raw column. Encodings with `describes_column=False` are omitted if the column has others."""
        columns: dict[str, list[Encoding]] = {}
        for encoding in self.encodings:
            columns.setdefault(encoding.column, []).append(encoding)
        return {column: [e for e in every if e.describes_column] or every for column, every in columns.items()}

    def feature_indices(self, encoding: Encoding) -> list[int]:
        """Indices of the encoding's feature columns in a row."""
        return [index for index, name in enumerate(self.features) if name in encoding.features]

    def features_of(self, records: Sequence[Mapping[str, Any]]) -> dict[str, Values]:
        """Feature columns of checked raw records."""
        columns: dict[str, Values] = {}
        for encoding in self.encodings:
            columns |= encoding.encode([record[encoding.column] for record in records], self.vocabularies)
        return {name: columns[name] for name in self.features}

    def matrix(self, columns: FeatureColumns) -> Matrix:
        """Feature columns side by side; an index of n categories as n + 1 columns of 0/1 in sparse format.

        A category index stores one non-zero value per row, whatever its cardinality. The arrays of the result are
        filled in place, which saves a second copy in memory.
        """
        from scipy import sparse  # a compiled model predicts without scipy

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
                # The model does not know a category that is newer than the vocabulary.
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
        for index, feature in enumerate(self.features):
            column = columns[feature]
            values[:, index] = np.where(column < sizes[feature], column, 0) if feature in sizes else column
        return values

    def inputs(self, matrix_format: MatrixFormat, columns: FeatureColumns) -> Any:
        """Feature columns in the matrix format of a learner."""
        return self.matrix(columns).values if matrix_format == "sparse" else self.dense(columns)

    def categories(self) -> Mapping[int, int]:
        """Number of categories, unknown included, of each column of `dense` that is a category index."""
        sizes = self._index_sizes()
        return {index: sizes[feature] for index, feature in enumerate(self.features) if feature in sizes}

    @cached_property
    def request_fields(self) -> RequestFields | None:
        """The raw fields with their types, for a decoder of requests; None if a field has no type."""
        return RequestFields.of((encoding.column, encoding.field_type(self)) for encoding in self.encodings)

    @cached_property
    def _known_categories(self) -> Mapping[str, frozenset[str]]:
        return {index: frozenset(words[1:]) for index, words in self.vocabularies.items()}

    def _index_sizes(self) -> dict[str, int]:
        sizes: dict[str, int] = {}
        for encoding in self.encodings:
            sizes |= encoding.index_sizes(self.vocabularies)
        return sizes
