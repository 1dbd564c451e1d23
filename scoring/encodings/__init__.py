"""Encodings: raw values as feature columns, in a request as in the gold table (`encodings.sql`).

A feature table declares its encodings once, in `meta.encodings` of its dbt model. SQL builds the gold table from
that declaration; these classes build the same columns from the records of a request. A test compares both on every
row of the data. To add a kind, define one subclass of `Encoding` and one SQL macro.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache, reduce
from operator import or_
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from scoring.encodings.categories import Categorical, CategoryIndex, OneHot, Ordinal, slug
from scoring.encodings.embedding import Embedding
from scoring.encodings.encoding import (
    KINDS,
    Encoding,
    EncodingContext,
    FeatureColumns,
    JsonSchema,
    RowCategories,
    UnknownCategories,
    Values,
    Vocabularies,
)
from scoring.encodings.numbers import LARGEST, Cohort, Flag, Number
from scoring.encodings.text import Text

__all__ = [
    "ENCODINGS",
    "KINDS",
    "LARGEST",
    "Categorical",
    "CategoryIndex",
    "Cohort",
    "Embedding",
    "Encoding",
    "EncodingContext",
    "FeatureColumns",
    "Flag",
    "JsonSchema",
    "Number",
    "OneHot",
    "Ordinal",
    "RowCategories",
    "Text",
    "UnknownCategories",
    "Values",
    "Vocabularies",
    "index_tables",
    "slug",
]


class _Encodings:
    """Parser of declared encodings: pydantic's adapter for all kinds that are defined by now."""

    def validate_python(self, declared: object) -> tuple[Encoding, ...]:
        return _adapter(*KINDS.values()).validate_python(declared)

    def validate_json(self, declared: str | bytes) -> tuple[Encoding, ...]:
        return _adapter(*KINDS.values()).validate_json(declared)

    def dump_python(self, encodings: Sequence[Encoding], **options: Any) -> Any:
        return _adapter(*KINDS.values()).dump_python(tuple(encodings), **options)


ENCODINGS = _Encodings()


@lru_cache(maxsize=1)
def _adapter(*kinds: type[Encoding]) -> TypeAdapter[tuple[Encoding, ...]]:
    kind: Any = Annotated[reduce(or_, kinds), Field(discriminator="kind")]
    return TypeAdapter(tuple[kind, ...])


def index_tables(encodings: Iterable[Encoding]) -> list[str]:
    """The index tables that the encodings need."""
    return sorted({encoding.index_table for encoding in encodings if encoding.index_table is not None})
