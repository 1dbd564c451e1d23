"""From raw values to feature columns: the twin of `encodings.sql`.

A feature table declares its encodings once, in `meta.encodings` of its dbt model. SQL builds the gold table from
that declaration; this module builds the same columns from the records of a request. A test holds the two equal on
every row of the data.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from re import sub
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

_WRITTEN_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
LARGEST = 1e15  # beyond it, doubles skip whole numbers, and squares leave what single precision holds

Values = npt.NDArray[np.number[Any]]  # of a request float64; of a table as narrow as the table has them
FeatureColumns = Mapping[str, Values]
Vocabularies = Mapping[str, Sequence[str]]


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
