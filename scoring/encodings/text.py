"""Encoding of a free text: itself, for the terms that a model finds in it, and its length as a number."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from scoring.encodings.encoding import EncodingContext, FeatureColumns, Values, Vocabularies
from scoring.encodings.free_text import FreeText
from scoring.encodings.row_writers import EncodedRow, RowWriter
from scoring.texts.terms import Analysis, length

_Count = Annotated[int, Field(ge=1, le=10)]


class Text(FreeText):
    """A free text whose terms are counted.

    The terms become columns of the sparse matrix, as the categories of an index do, and a family weights them. The
    vocabulary is learned with the frame, not by SQL.

    Attributes:
        words: fewest and most words of a term.
        characters: fewest and most characters of a part of a word. Parts find what compound words share
            (`Lieferzeit`, `Lieferung`) and forgive typing errors. They take about five times the time and memory.
        min_documents: a term of fewer texts is ignored.
    """

    kind: Literal["text"] = Field(alias="as")
    words: tuple[_Count, _Count] | None = (1, 2)
    characters: tuple[_Count, _Count] | None = None
    min_documents: int = Field(default=2, ge=1)

    @model_validator(mode="after")
    def _require_terms(self) -> Self:
        if self.words is None and self.characters is None:
            raise ValueError("a text needs `words` or `characters`, of which its terms are")
        for name, bounds in (("words", self.words), ("characters", self.characters)):
            if bounds is not None and bounds[0] > bounds[1]:
                raise ValueError(f"{name} must ascend: {list(bounds)}")
        return self

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

    def read(self, features: FeatureColumns) -> Values:
        return np.asarray(list(map(length, features[self.column])), dtype=np.float64)
