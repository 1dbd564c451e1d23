"""The encodings of a use case together: from records to feature columns, and from those to one matrix."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Mask, MatrixFormat, is_known
from scoring.encodings import Encoding, FeatureColumns, UnknownCategories, Values, Vocabularies
from scoring.encodings.field_types import RequestFields
from scoring.encodings.row_writers import EncodedRow
from scoring.texts.counted_texts import CountedTexts
from scoring.texts.terms import Analysis, TermReader

if TYPE_CHECKING:
    from scipy import sparse

_ROWS_AT_ONCE = 2**17  # that a matrix is filled with: the arrays of this work stay small


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

        A category index stores one non-zero value per row, whatever its cardinality. A missing number is stored as
        NaN; a 0 is not stored. A text feature has a column for
        each term of its vocabulary, with the count of the term. The arrays of the result are filled in place, which
        saves a second copy in memory, a part of the rows at a time.
        """
        from scipy import sparse  # a compiled model predicts without scipy

        sizes, readers = self._index_sizes(), self._term_readers
        rows = len(columns[self.features[0]]) if self.features else 0
        terms = {feature: CountedTexts.of(reader, columns[feature]) for feature, reader in readers.items()}
        row_ends = np.zeros(rows + 1, dtype=np.int64)
        for feature in self.features:
            if feature in terms:
                row_ends[1:] += np.diff(terms[feature].ends)
            else:
                row_ends[1:] += 1 if feature in sizes else columns[feature] != 0
        np.cumsum(row_ends, out=row_ends)
        data = np.empty(row_ends[-1])
        row_ends = row_ends.astype(np.int32 if row_ends[-1] < 2**31 else np.int64)
        indices, names = np.empty(len(data), dtype=row_ends.dtype), self._matrix_columns(sizes)
        for begin in range(0, rows, _ROWS_AT_ONCE):
            some = slice(begin, begin + _ROWS_AT_ONCE)
            free, first = row_ends[:-1][some].astype(np.intp), 0
            for feature in self.features:
                values = columns[feature][some]
                if feature in sizes:
                    # The model does not know a category that is newer than the vocabulary.
                    indices[free] = np.where(values < sizes[feature], values, 0).astype(indices.dtype) + first
                    data[free] = 1
                    free += 1
                    first += sizes[feature]
                elif feature in terms:
                    cells, positions, counts = terms[feature].cells(some, free)
                    indices[cells], data[cells] = first + positions, counts
                    first += len(self.vocabularies[feature])
                else:
                    filled = np.flatnonzero(values)
                    indices[free[filled]] = first
                    data[free[filled]] = values[filled]
                    free[filled] += 1
                    first += 1
        return Matrix(sparse.csr_matrix((data, indices, row_ends), shape=(rows, len(names))), names)

    def shape(self, rows: int) -> Matrix:
        """An empty matrix in the shape and with the columns that so many rows have."""
        from scipy import sparse

        names = self._matrix_columns(self._index_sizes())
        return Matrix(sparse.csr_matrix((rows, len(names))), names)

    def dense(self, columns: FeatureColumns) -> npt.NDArray[np.float64]:
        """(rows, features) the numbers side by side; an index newer than the vocabulary is 0, unknown."""
        sizes = self._index_sizes()
        rows = len(columns[self.features[0]]) if self.features else 0
        values = np.empty((rows, len(self.number_features)))
        for index, feature in enumerate(self.number_features):
            values[:, index] = _known(columns[feature], sizes.get(feature))
        return values

    def table(self, columns: FeatureColumns) -> npt.NDArray[Any]:
        """(rows, features) every feature side by side, as compiled models take them; with a text, of objects."""
        if not self.text_features:
            return self.dense(columns)
        numbers = dict(zip(self.number_features, self.dense(columns).T.tolist(), strict=True))
        values = np.empty((len(columns[self.features[0]]), len(self.features)), dtype=object)
        for index, feature in enumerate(self.features):
            values[:, index] = numbers[feature] if feature in numbers else columns[feature]
        return values

    def table_of(self, rows: Sequence[EncodedRow] | npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The same of rows that are encoded already."""
        return np.asarray(rows, dtype=object if self.text_features else None)

    def columns_of(self, table: npt.NDArray[Any]) -> dict[str, Values]:
        """The feature columns of a table of `table`."""
        if not self.text_features:
            return dict(zip(self.features, table.T, strict=True))
        return {
            name: values if name in self.text_features else values.astype(np.float64)
            for name, values in zip(self.features, table.T, strict=True)
        }

    def inputs(self, matrix_format: MatrixFormat, columns: FeatureColumns) -> Any:
        """Feature columns in the matrix format of a learner."""
        if matrix_format == "sparse":
            return self.matrix(columns).values
        return self.dense(columns) if matrix_format == "dense" else self.table(columns)

    def categories(self) -> Mapping[int, int]:
        """Number of categories, unknown included, of each column of `dense` that is a category index."""
        sizes = self._index_sizes()
        return {index: sizes[feature] for index, feature in enumerate(self.number_features) if feature in sizes}

    def is_index(self, feature: str) -> bool:
        """True if the feature is a category index."""
        return feature in self._index_sizes()

    def widths(self) -> list[int]:
        """Number of columns in `matrix` of each feature."""
        sizes = self._index_sizes() | {name: len(self.vocabularies[name]) for name in self.text_features}
        return [sizes.get(feature, 1) for feature in self.features]

    def term_columns(self) -> list[tuple[int, int, int]]:
        """Columns in `matrix` of each text feature, the first and the one after the last, and its `min_documents`."""
        ends = list(accumulate(self.widths()))
        return [
            (ends[index] - len(self.vocabularies[name]), ends[index], self.text_features[name].min_documents)
            for index, name in enumerate(self.features)
            if name in self.text_features
        ]

    @cached_property
    def text_features(self) -> Mapping[str, Analysis]:
        """The features that are texts, with the rule that finds their terms."""
        found: dict[str, Analysis] = {}
        for encoding in self.encodings:
            found |= encoding.text_features
        return {name: found[name] for name in self.features if name in found}

    @cached_property
    def number_features(self) -> tuple[str, ...]:
        """The other features: those that a learner of dense rows reads."""
        return tuple(name for name in self.features if name not in self.text_features)

    @cached_property
    def vectors(self) -> Mapping[str, tuple[str, ...]]:
        """Columns of feature tables that hold several features as an array; see `Encoding.vectors`."""
        found: dict[str, tuple[str, ...]] = {}
        for encoding in self.encodings:
            found |= encoding.vectors
        return found

    @cached_property
    def table_columns(self) -> tuple[str, ...]:
        """The columns of feature tables that hold the features."""
        column_of = {feature: column for column, features in self.vectors.items() for feature in features}
        return tuple(dict.fromkeys(column_of.get(feature, feature) for feature in self.features))

    @cached_property
    def nullable_features(self) -> frozenset[str]:
        """The features in which a value may be missing; it is NaN in every matrix."""
        found: frozenset[str] = frozenset().union(*(encoding.nullable_features for encoding in self.encodings))
        return found.intersection(self.features)

    def lacking(self, columns: FeatureColumns, tables: Iterable[Sequence[str]]) -> Iterator[tuple[str, Mask]]:
        """(rows,) True for each column of a table where a row has no value and needs one.

        A number that may be missing is needed where its table has no row: where all columns of the table are missing.

        Args:
            columns: looked-up features, NaN or None where there is no value.
            tables: the columns of each table: those of features, and the marker of a found row if there is one.
        """
        for names in tables:
            nullable = self.nullable_features.intersection(names)
            without_row: Mask = np.ones(len(columns[names[0]]) if nullable else 0, dtype=np.bool_)
            for name in names if nullable else ():
                without_row &= self._missing(columns, name)
            for name in names:
                if name in nullable:
                    yield name, np.where(np.isnan(columns[name]), without_row, np.isinf(columns[name]))
                elif name in self.table_columns:
                    yield name, self._missing(columns, name)

    def _missing(self, columns: FeatureColumns, name: str) -> Mask:
        """(rows,) True where a column of a table has no value; of an array, not every number."""
        return np.asarray(
            np.logical_or.reduce([~is_known(columns[part]) for part in self.vectors.get(name, (name,))])
        )

    @cached_property
    def _term_readers(self) -> Mapping[str, TermReader]:
        return {name: TermReader(rule, self.vocabularies[name]) for name, rule in self.text_features.items()}

    @cached_property
    def request_fields(self) -> RequestFields | None:
        """The raw fields with their types, for a decoder of requests; None if a field has no type."""
        return RequestFields.of((encoding.column, encoding.field_type(self)) for encoding in self.encodings)

    @cached_property
    def _known_categories(self) -> Mapping[str, frozenset[str]]:
        return {index: frozenset(words[1:]) for index, words in self.vocabularies.items()}

    def _matrix_columns(self, sizes: Mapping[str, int]) -> tuple[str, ...]:
        names = list[str]()
        for feature in self.features:
            if feature in sizes:
                names += [f"{feature}={i}" for i in range(sizes[feature])]
            elif feature in self.text_features:
                names += [f"{feature}={term}" for term in self.vocabularies[feature]]
            else:
                names.append(feature)
        return tuple(names)

    def _index_sizes(self) -> dict[str, int]:
        sizes: dict[str, int] = {}
        for encoding in self.encodings:
            sizes |= encoding.index_sizes(self.vocabularies)
        return sizes


def _known(values: Values, size: int | None) -> Values:
    """The values of a feature, with 0 for a category that is newer than the vocabulary."""
    return values if size is None else np.where(values < size, values, 0)
