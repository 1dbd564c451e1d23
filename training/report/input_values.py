"""Raw inputs, read back from feature columns: the category of each row, and its text in a chart."""

from dataclasses import dataclass

import numpy as np

from lakehouse.arrays import Floats
from lakehouse.wording import format_number
from scoring.encoder import Encoder
from scoring.encodings import Encoding, FeatureColumns, RowCategories
from training.frame.raw_inputs import groups

MOST_CATEGORIES = 20


@dataclass(frozen=True)
class Reading:
    """An input for people: a text for each row, and a level to shade it by, if its values have an order."""

    texts: list[str]
    levels: Floats | None


def categorical(encoder: Encoder, features: FeatureColumns) -> list[RowCategories]:
    """The inputs of at most `MOST_CATEGORIES` categories, in the order of the encodings."""
    every = [_row_categories(encoding, encoder, features) for encoding in encoder.encodings]
    return [categories for categories in every if categories is not None and len(categories.names) <= MOST_CATEGORIES]


def reading(column: str, encoder: Encoder, features: FeatureColumns) -> Reading:
    """The values of one raw column; for a number that also has a cohort, the number."""
    encodings = [encoding for encoding in encoder.encodings if encoding.column == column]
    every = (_row_categories(encoding, encoder, features) for encoding in encodings)
    categories = next((each for each in every if each), None)
    if categories is None or categories.label != column:
        values = features[groups(encoder)[column][0]].astype(np.float64)
        return Reading(list(map(format_number, values)), values)
    ordered = all(encoding.ordered for encoding in encodings)
    texts = [categories.names[index] for index in categories.indices]
    return Reading(texts, categories.indices.astype(np.float64) if ordered else None)


def _row_categories(encoding: Encoding, encoder: Encoder, features: FeatureColumns) -> RowCategories | None:
    if any(name not in features for name in encoding.features):
        return None  # the use case excludes some of its feature columns
    return encoding.row_categories(features, encoder.vocabularies)
