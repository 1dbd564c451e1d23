"""Encodings of categories: one-hot columns, the rank of an ordered category, an index into a vocabulary."""

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from re import sub
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from scoring.encodings.column_writers import ColumnWriter, category_writer
from scoring.encodings.encoding import (
    Encoding,
    EncodingContext,
    FeatureColumns,
    FeatureType,
    JsonSchema,
    RowCategories,
    Vocabularies,
)
from scoring.encodings.field_types import ChoiceField, FieldType
from scoring.encodings.numbers import UNKNOWN
from scoring.encodings.row_writers import RowWriter
from scoring.hooks.fields import Kind

MOST_IN_MESSAGE, MOST_IN_SCHEMA, MOST_EXAMPLES = 30, 1000, 30  # listed categories
_SPELT_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})


class Categorical(Encoding):
    """Text of listed categories, or null. The use case decides if an unlisted one is refused or missing."""

    field_kind: ClassVar[Kind] = "text"
    feature_type: ClassVar[FeatureType] = "categorical"

    @abstractmethod
    def listed(self, context: EncodingContext) -> Sequence[str]:
        """The listed categories, in order."""

    def known(self, context: EncodingContext) -> Collection[str]:
        """The same for quick membership tests."""
        return self.listed(context)

    def row_writer(self, context: EncodingContext) -> RowWriter:
        return self.choice_writer([None, *self.listed(context)], context)

    def column_writer(self, context: EncodingContext) -> ColumnWriter:
        values = [None, *self.listed(context)]
        known = dict(zip(values, self.row_cells(values, context), strict=True))
        unknown = known[None] if context.unknown_categories == "missing" else None
        return category_writer(known, unknown, len(context.features))

    def field_type(self, context: EncodingContext) -> FieldType:
        return ChoiceField(tuple(self.listed(context)), True, context.unknown_categories == "missing")

    def accepts(self, value: object, context: EncodingContext) -> bool:
        if value is None:
            return True
        return isinstance(value, str) and (context.unknown_categories == "missing" or value in self.known(context))

    def expected(self, context: EncodingContext) -> str:
        if context.unknown_categories == "missing":
            return "text or null"
        return f"one of {', '.join(self.listed(context))} or null"

    def json_schema(self, context: EncodingContext) -> JsonSchema:
        text: JsonSchema = {"type": ["string", "null"]}
        if context.unknown_categories == "missing":
            return text
        categories = self.listed(context)
        if len(categories) > MOST_IN_SCHEMA:
            longest = max(map(len, categories))
            return text | {"maxLength": longest, "description": self.expected(context)}
        return text | {"enum": [*categories, None]}

    def examples(self, golden: Any, context: EncodingContext) -> Sequence[Any]:
        return [None, *self.listed(context)[:MOST_EXAMPLES]]


class OneHot(Categorical):
    """One 0/1 column for each of a fixed list of categories; a missing one is 0 in all.

    Attributes:
        categories: the list; `serving.unknown_categories` decides about another one in a request.
    """

    feature_type: ClassVar[FeatureType] = "boolean"
    ordered: ClassVar[bool] = False

    kind: Literal["one_hot"] = Field(alias="as")
    categories: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _require_a_column_each(self) -> Self:
        if len({slug(category) for category in self.categories}) < len(self.categories):
            raise ValueError(f"two categories of {self.categories} would share a column")
        return self

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(f"{self.column}_{slug(category)}" for category in self.categories)

    def listed(self, context: EncodingContext) -> Sequence[str]:
        return self.categories

    def encode_columns(self, values: Sequence[Any], vocabularies: Vocabularies) -> Sequence[Sequence[float]]:
        return [[value == category for value in values] for category in self.categories]

    def row_categories(self, features: FeatureColumns, vocabularies: Vocabularies) -> RowCategories:
        columns = np.stack([features[name] for name in self.features], axis=1)
        indices = np.where(columns.any(axis=1), columns.argmax(axis=1) + 1, 0)
        return RowCategories(self.column, (UNKNOWN, *self.categories), indices.astype(np.int64))


class Ordinal(Categorical):
    """The rank of an ordered category, from 1; a missing one takes the imputed rank and is marked.

    Attributes:
        categories: the categories in their order.
        impute: the category that a missing one counts as.
    """

    kind: Literal["ordinal"] = Field(alias="as")
    categories: tuple[str, ...] = Field(min_length=1)
    impute: str

    @model_validator(mode="after")
    def _require_impute_among_categories(self) -> Self:
        if len(set(self.categories)) < len(self.categories):
            raise ValueError(f"categories repeat: {self.categories}")
        if self.impute not in self.categories:
            raise ValueError(f"impute '{self.impute}' is not among the categories {self.categories}")
        return self

    @property
    def features(self) -> tuple[str, ...]:
        return f"{self.column}_level", f"{self.column}_is_missing"

    def listed(self, context: EncodingContext) -> Sequence[str]:
        return self.categories

    def encode_columns(self, values: Sequence[Any], vocabularies: Vocabularies) -> Sequence[Sequence[float]]:
        ranks = {category: rank for rank, category in enumerate(self.categories, start=1)}
        imputed = ranks[self.impute]
        return [[ranks.get(value, imputed) for value in values], [value not in ranks for value in values]]

    def row_categories(self, features: FeatureColumns, vocabularies: Vocabularies) -> RowCategories:
        level, is_missing = (features[name] for name in self.features)
        indices = np.where(is_missing == 0, level, 0)
        return RowCategories(self.column, (UNKNOWN, *self.categories), indices.astype(np.int64))


class CategoryIndex(Categorical):
    """The category's integer in its index table; a missing or unlisted one is 0.

    Attributes:
        index: model of the index table, such as `job_index`.
    """

    ordered: ClassVar[bool] = False

    kind: Literal["category_index"] = Field(alias="as")
    index: str

    @property
    def index_table(self) -> str:
        return self.index

    @property
    def feature(self) -> str:
        return f"{self.column}_index"

    @property
    def features(self) -> tuple[str, ...]:
        return (self.feature,)

    def listed(self, context: EncodingContext) -> Sequence[str]:
        return context.vocabularies[self.index][1:]

    def known(self, context: EncodingContext) -> Collection[str]:
        return context.known_categories(self.index)

    def encode_columns(self, values: Sequence[Any], vocabularies: Vocabularies) -> Sequence[Sequence[float]]:
        integers = {category: i for i, category in enumerate(vocabularies[self.index]) if i > 0}
        return [[integers.get(value, 0) for value in values]]

    def expected(self, context: EncodingContext) -> str:
        listed = len(context.vocabularies[self.index]) - 1
        if context.unknown_categories == "missing" or listed <= MOST_IN_MESSAGE:
            return super().expected(context)
        return f"a category of {self.index} or null"

    def index_sizes(self, vocabularies: Vocabularies) -> Mapping[str, int]:
        return {self.feature: len(vocabularies[self.index])}

    def row_categories(self, features: FeatureColumns, vocabularies: Vocabularies) -> RowCategories:
        names = (UNKNOWN, *vocabularies[self.index][1:])
        indices = features[self.feature]
        return RowCategories(self.column, names, np.where(indices < len(names), indices, 0).astype(np.int64))


def slug(category: str) -> str:
    """Suffix of a one-hot column's name.

    >>> slug("Baden-Württemberg")
    'baden_wuerttemberg'
    """
    return sub("[^a-z0-9]+", "_", category.lower().translate(_SPELT_OUT)).strip("_")
