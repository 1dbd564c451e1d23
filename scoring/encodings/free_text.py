"""Base class of the encodings of a free text: the input contract, and its length as a number."""

import re
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from lakehouse.arrays import Mask
from scoring.encodings.encoding import Encoding, EncodingContext, FeatureColumns, FeatureType, JsonSchema, Values
from scoring.hooks.fields import Kind

NUL = "\0"
_HALF_PAIR = re.compile("[\ud800-\udfff]")


class FreeText(Encoding):
    """A free text in any language and script; null is the empty text.

    Attributes:
        max_characters: longest accepted text of a request.
    """

    field_kind: ClassVar[Kind] = "text"
    feature_type: ClassVar[FeatureType] = "text"
    ordered: ClassVar[bool] = False
    is_free_text: ClassVar[bool] = True

    max_characters: int = Field(default=10_000, ge=1, le=1_000_000)

    @property
    def length_feature(self) -> str:
        """Name of the feature column with the number of characters."""
        return f"{self.column}_length"

    @abstractmethod
    def read(self, features: FeatureColumns) -> Values:
        """(rows,) the length of each text, read from its other feature columns."""

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
            lengths = self.read(features)
        return lengths, np.asarray(lengths == 0)
