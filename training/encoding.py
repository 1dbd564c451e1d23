"""From raw values to feature columns to one sparse matrix: the twin of `encodings.sql`.

A feature table declares its encodings once, in `meta.encodings` of its dbt model. SQL builds the gold table from
that declaration; this module builds the same columns from the records of a request. A test holds the two equal on
every row of the data.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from re import sub
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

if TYPE_CHECKING:
    from scipy import sparse

_WRITTEN_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
FEW = 30  # categories that a refusal lists
LARGEST = 1e15  # beyond it, doubles skip whole numbers, and squares leave what single precision holds

Values = npt.NDArray[np.number[Any]]  # of a request float64; of a table as narrow as the table has them
Columns = Mapping[str, Values]
Vocabularies = Mapping[str, Sequence[str]]
Unknown = Literal["refuse", "missing"]  # what becomes of a category that nobody listed
Form = Literal["sparse", "dense"]  # what a learner takes: `Encoder.matrix`, or `Encoder.dense`


class _Encoding(BaseModel):
    """What every encoding has: the raw column it reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str


class Number(_Encoding):
    """A number as it is; where `impute` is given, a missing one takes it and is marked."""

    kind: Literal["number"] = Field(alias="as")
    type: Literal["integer", "double"] = "integer"
    minimum: float | None = None
    maximum: float | None = None
    impute: float | None = None

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum:g} is above maximum {self.maximum:g}")
        return self

    def expected(self) -> str:
        bounds = [
            f"at {word} {bound:g}"
            for word, bound in (("least", self.minimum), ("most", self.maximum))
            if bound is not None
        ]
        return " ".join([self.type, *bounds]) + (" or null" if self.impute is not None else "")

    def accepts(self, value: object) -> bool:
        if value is None:
            return self.impute is not None
        if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
            return False
        if self.type == "integer" and value != int(value):
            return False
        return (self.minimum is None or value >= self.minimum) and (self.maximum is None or value <= self.maximum)

    def encode(self, values: Sequence[Any], vocabularies: Vocabularies) -> dict[str, Values]:
        if self.impute is None:
            return {self.column: np.asarray(values, dtype=np.float64)}
        present = [self.impute if value is None else value for value in values]
        return {self.column: np.asarray(present, dtype=np.float64), **_is_missing(self.column, values)}


class Flag(_Encoding):
    """A boolean as 0 or 1."""

    kind: Literal["flag"] = Field(alias="as")

    def expected(self) -> str:
        return "true or false"

    def accepts(self, value: object) -> bool:
        return isinstance(value, bool)

    def encode(self, values: Sequence[Any], vocabularies: Vocabularies) -> dict[str, Values]:
        return {self.column: np.asarray(values, dtype=np.float64)}


class Cohort(_Encoding):
    """The cohort of a number: 1 below the first bound, 2 from the first to below the second; 0 unknown."""

    kind: Literal["cohort"] = Field(alias="as")
    bounds: tuple[float, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ascends(self) -> Self:
        if list(self.bounds) != sorted(set(self.bounds)):
            raise ValueError(f"bounds must ascend: {self.bounds}")
        return self

    def expected(self) -> str:
        return "a number or null"

    def accepts(self, value: object) -> bool:
        return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value))

    def encode(self, values: Sequence[Any], vocabularies: Vocabularies) -> dict[str, Values]:
        cohorts = [0.0 if value is None else self._cohort(value) for value in values]
        return {self.feature: np.asarray(cohorts, dtype=np.float64)}

    def _cohort(self, value: float) -> float:
        return 1.0 + sum(value >= bound for bound in self.bounds)

    @property
    def feature(self) -> str:
        return f"{self.column}_cohort"


class OneHot(_Encoding):
    """One 0/1 column for each of a fixed list of categories; a missing one is 0 in all."""

    kind: Literal["one_hot"] = Field(alias="as")
    categories: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _has_a_column_each(self) -> Self:
        if len({slug(category) for category in self.categories}) < len(self.categories):
            raise ValueError(f"two categories of {self.categories} would share a column")
        return self

    def expected(self) -> str:
        return f"one of {', '.join(self.categories)} or null"

    def accepts(self, value: object) -> bool:
        return value is None or value in self.categories

    def encode(self, values: Sequence[Any], vocabularies: Vocabularies) -> dict[str, Values]:
        return {
            f"{self.column}_{slug(category)}": np.asarray([value == category for value in values], dtype=np.float64)
            for category in self.categories
        }


class Ordinal(_Encoding):
    """The rank of an ordered category, from 1; a missing one takes the imputed rank and is marked."""

    kind: Literal["ordinal"] = Field(alias="as")
    categories: tuple[str, ...] = Field(min_length=1)
    impute: str

    @model_validator(mode="after")
    def _imputes_a_category(self) -> Self:
        if len(set(self.categories)) < len(self.categories):
            raise ValueError(f"categories repeat: {self.categories}")
        if self.impute not in self.categories:
            raise ValueError(f"impute '{self.impute}' is not among the categories {self.categories}")
        return self

    def expected(self) -> str:
        return f"one of {', '.join(self.categories)} or null"

    def accepts(self, value: object) -> bool:
        return value is None or value in self.categories

    def encode(self, values: Sequence[Any], vocabularies: Vocabularies) -> dict[str, Values]:
        ranks = {category: rank for rank, category in enumerate(self.categories, start=1)}
        levels = [ranks[self.impute if value is None else value] for value in values]
        return {
            f"{self.column}_level": np.asarray(levels, dtype=np.float64),
            **_is_missing(self.column, values),
        }


class CategoryIndex(_Encoding):
    """The category's integer in its index table; a missing category is 0, and one that it does not have."""

    kind: Literal["category_index"] = Field(alias="as")
    index: str

    def expected(self) -> str:
        return "text or null"

    def accepts(self, value: object) -> bool:
        return value is None or isinstance(value, str)

    def encode(self, values: Sequence[Any], vocabularies: Vocabularies) -> dict[str, Values]:
        integers = {category: i for i, category in enumerate(vocabularies[self.index]) if i > 0}
        return {self.feature: np.asarray([integers.get(value, 0) for value in values], dtype=np.float64)}

    @property
    def feature(self) -> str:
        return f"{self.column}_index"


Encoding = Annotated[Number | Flag | Cohort | OneHot | Ordinal | CategoryIndex, Field(discriminator="kind")]
Categorical = OneHot | Ordinal | CategoryIndex
ENCODINGS: TypeAdapter[tuple[Encoding, ...]] = TypeAdapter(tuple[Encoding, ...])


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
    unknown_categories: Unknown = "refuse"

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

    def matrix(self, columns: Columns) -> Matrix:
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

    def dense(self, columns: Columns) -> npt.NDArray[np.float64]:
        """(rows, features) feature columns side by side; an index newer than the vocabulary is 0, unknown."""
        sizes = self._index_sizes()
        rows = len(columns[self.features[0]]) if self.features else 0
        values = np.empty((rows, len(self.features)))
        for place, feature in enumerate(self.features):
            column = columns[feature]
            values[:, place] = np.where(column < sizes[feature], column, 0) if feature in sizes else column
        return values

    def inputs(self, form: Form, columns: Columns) -> Any:
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


def index_tables(encodings: Iterable[Encoding]) -> list[str]:
    """The index tables that the encodings need."""
    return sorted({encoding.index for encoding in encodings if isinstance(encoding, CategoryIndex)})


def slug(category: str) -> str:
    """The end of a one-hot column's name.

    >>> slug("Baden-Württemberg")
    'baden_wuerttemberg'
    """
    return sub("[^a-z0-9]+", "_", category.lower().translate(_WRITTEN_OUT)).strip("_")


def _is_missing(column: str, values: Sequence[Any]) -> dict[str, Values]:
    return {f"{column}_is_missing": np.asarray([value is None for value in values], dtype=np.float64)}


def _is_finite(value: float) -> bool:
    # An integer too large for a double raises, and is no number that a learner could take either.
    try:
        return isfinite(value) and abs(value) <= LARGEST
    except OverflowError:
        return False
