"""Encoding of a free text: itself, for the terms that a model finds in it, and its length as a number."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from lakehouse.arrays import Mask
from scoring.encodings.encoding import (
    Encoding,
    EncodingContext,
    FeatureColumns,
    FeatureType,
    JsonSchema,
    Values,
    Vocabularies,
)
from scoring.encodings.row_writers import EncodedRow, RowWriter
from scoring.hooks.fields import Kind
from scoring.texts.terms import Analysis, length

NUL = "\0"
_HALF_PAIR = re.compile("[\ud800-\udfff]")
_Count = Annotated[int, Field(ge=1, le=10)]


class Text(Encoding):
    """A free text in any language and script; null is the empty text.

    Its terms become columns of the sparse matrix, as the categories of an index do, and a family weights them. The
    vocabulary is learned with the frame, not by SQL.

    Attributes:
        words: fewest and most words of a term.
        characters: fewest and most characters of a part of a word. Parts find what compound words share
            (`Lieferzeit`, `Lieferung`) and forgive typing errors. They take about five times the time and memory.
        min_documents: a term of fewer texts is ignored.
        max_characters: longest accepted text of a request.
    """

    field_kind: ClassVar[Kind] = "text"
    feature_type: ClassVar[FeatureType] = "text"
    ordered: ClassVar[bool] = False

    kind: Literal["text"] = Field(alias="as")
    words: tuple[_Count, _Count] | None = (1, 2)
    characters: tuple[_Count, _Count] | None = None
    min_documents: int = Field(default=2, ge=1)
    max_characters: int = Field(default=10_000, ge=1, le=1_000_000)

    @model_validator(mode="after")
    def _require_terms(self) -> Self:
        if self.words is None and self.characters is None:
            raise ValueError("a text needs `words` or `characters`, of which its terms are")
        for name, bounds in (("words", self.words), ("characters", self.characters)):
            if bounds is not None and bounds[0] > bounds[1]:
                raise ValueError(f"{name} must ascend: {list(bounds)}")
        return self

    @property
    def length_feature(self) -> str:
        """Name of the feature column with the number of characters."""
        return f"{self.column}_length"

    @property
    def features(self) -> tuple[str, ...]:
        return self.length_feature, self.column

    @property
    def text_features(self) -> Mapping[str, Analysis]:
        return {self.column: Analysis(self.words, self.characters, self.min_documents)}

    def vocabularies_of(self, columns: FeatureColumns) -> Vocabularies:
        return {
            name: rule.vocabulary(columns[name].tolist())
            for name, rule in self.text_features.items()
            if name in columns
        }

    def encode_columns(self, values: Sequence[Any], vocabularies: Vocabularies) -> Sequence[Sequence[Any]]:
        texts = [value or "" for value in values]
        return [list(map(length, texts)), texts]

    def encode(self, values: Sequence[Any], vocabularies: Vocabularies) -> dict[str, Values]:
        lengths, texts = self.encode_columns(values, vocabularies)
        column = np.empty(len(texts), dtype=object)
        column[:] = texts
        return {self.length_feature: np.asarray(lengths, dtype=np.float64), self.column: column}

    def row_writer(self, context: EncodingContext) -> RowWriter:
        at_length, at_text = (
            context.features.index(name) if name in context.features else None for name in self.features
        )

        def write(value: Any, row: EncodedRow) -> bool:
            if not self.accepts(value, context):
                return False
            if at_length is not None:
                row[at_length] = float(length(value or ""))
            if at_text is not None:
                row[at_text] = value or ""
            return True

        return write

    def accepts(self, value: object, context: EncodingContext) -> bool:
        if value is None:
            return True
        if not isinstance(value, str) or len(value) > self.max_characters or NUL in value:
            return False
        return value.isascii() or _HALF_PAIR.search(value) is None

    def expected(self, context: EncodingContext) -> str:
        return f"text of at most {self.max_characters:,} characters without NUL and half surrogate pairs, or null"

    def json_schema(self, context: EncodingContext) -> JsonSchema:
        return {"type": ["string", "null"], "maxLength": self.max_characters}

    def examples(self, golden: Any, context: EncodingContext) -> Sequence[Any]:
        if not isinstance(golden, str):
            return [None, ""]
        words = golden.split()
        middle = len(words) // 2
        return [None, "", " ".join(words[:middle]), " ".join(words[middle:]), *words[:20]]

    def numbers(self, features: FeatureColumns) -> tuple[Values, Mask]:
        if self.length_feature in features:
            lengths = np.asarray(features[self.length_feature], dtype=np.float64)
        else:  # the use case excludes it
            lengths = np.asarray(list(map(length, features[self.column])), dtype=np.float64)
        return lengths, np.asarray(lengths == 0)
