"""Encoding of a free text by the embedding of a pretrained model, and by its length."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
from pydantic import Field

from scoring.encodings.encoding import EncodingContext, FeatureColumns, Values, Vocabularies
from scoring.encodings.free_text import FreeText
from scoring.encodings.row_writers import EncodedRow, RowWriter
from scoring.texts.embedder import PACKAGES, embedder
from scoring.texts.embedding_model import EMBEDDING_MODELS, EmbeddingModelName
from scoring.texts.terms import length


class Embedding(FreeText):
    """A free text as the numbers of its embedding, which every family reads as it reads other numbers.

    The feature table has them in one column, an array that is computed once for each text. A request is embedded when
    it arrives.

    Attributes:
        model: name of the pretrained model.
    """

    kind: Literal["embedding"] = Field(alias="as")
    model: EmbeddingModelName = "minilm_l6_int8"

    @cached_property
    def _numbers(self) -> tuple[str, ...]:
        return tuple(f"{self.column}_embedding_{at}" for at in range(EMBEDDING_MODELS[self.model].dimensions))

    @property
    def features(self) -> tuple[str, ...]:
        return self.length_feature, *self._numbers

    @property
    def vectors(self) -> Mapping[str, tuple[str, ...]]:
        return {f"{self.column}_embedding": self._numbers}

    @property
    def packages(self) -> frozenset[str]:
        return PACKAGES

    def require_files(self, artifacts: Mapping[str, str] | None = None) -> None:
        """Open the model.

        Raises:
            EmbedderMissing: a package of the extra is not installed.
            EmbedderChanged: a file has another digest than the pinned one.
        """
        embedder(self.model, artifacts)

    def files(self) -> Mapping[str, bytes]:
        return embedder(self.model).content

    def encode_columns(self, values: Sequence[Any], vocabularies: Vocabularies) -> Sequence[Sequence[Any]]:
        texts, model = [value or "" for value in values], embedder(self.model)
        embedded = np.asarray([model.embed(text) for text in texts]).reshape(len(texts), len(self._numbers))
        return [list(map(length, texts)), *embedded.T.tolist()]

    def row_writer(self, context: EncodingContext) -> RowWriter:
        place_of = {name: place for place, name in enumerate(context.features)}
        at_length = place_of.get(self.length_feature)
        places = [(place_of[name], at) for at, name in enumerate(self._numbers) if name in place_of]

        def write(value: Any, row: EncodedRow) -> bool:
            if not self.accepts(value, context):
                return False
            text = value or ""
            if at_length is not None:
                row[at_length] = float(length(text))
            if places:
                numbers = embedder(self.model).embed(text).tolist()
                for place, at in places:
                    row[place] = numbers[at]
            return True

        return write

    def read(self, features: FeatureColumns) -> Values:
        """(rows,) 1 for each text: an embedding does not tell the length."""
        return np.ones(len(features[next(name for name in self._numbers if name in features)]))
