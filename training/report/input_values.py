"""Raw inputs, read back from feature columns: the category of each row, and its text in a chart."""

from dataclasses import dataclass
from math import isnan

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats
from lakehouse.wording import format_number
from scoring.encoder import Encoder
from scoring.encodings import Encoding, FeatureColumns, RowCategories
from scoring.encodings.numbers import UNKNOWN
from training.frame.raw_inputs import groups

MOST_CATEGORIES = 20


@dataclass(frozen=True)
class Reading:
    """An input for people: a text for each row, and a level to shade it by, if its values have an order.

    A missing number has the level NaN.
    """

    texts: list[str]
    levels: Floats | None


@dataclass(frozen=True)
class InputValues:
    """An input's values on some rows.

    Attributes:
        numbers: (rows,) numbers, or indices of `names`.
        is_known: (rows,) False for a missing or an unknown value.
        names: of the categories; None for a number.
        ordered: True for a number and for ordered categories.
    """

    numbers: Floats
    is_known: npt.NDArray[np.bool_]
    names: tuple[str, ...] | None
    ordered: bool

    @property
    def known(self) -> Floats:
        return self.numbers[self.is_known]

    @property
    def missing_share(self) -> float:
        return 1 - float(self.is_known.mean()) if len(self.is_known) else 0.0


def at_rows(features: FeatureColumns, rows: npt.NDArray[np.intp]) -> FeatureColumns:
    """The feature columns at some rows, in the order of their indices."""
    return {name: values[rows] for name, values in features.items()}


def categorical(encoder: Encoder, features: FeatureColumns) -> list[RowCategories]:
    """The inputs of at most `MOST_CATEGORIES` categories, in the order of the encodings."""
    every = [_row_categories(encoding, encoder, features) for encoding in encoder.encodings]
    return [categories for categories in every if categories is not None and len(categories.names) <= MOST_CATEGORIES]


def reading(column: str, encoder: Encoder, features: FeatureColumns) -> Reading:
    """The values of one raw column: the number if there is one, also beside its cohort, else the categories."""
    encodings = [encoding for encoding in encoder.encodings if encoding.column == column]
    present = [each for each in encodings if all(name in features for name in each.features)]
    every = [_row_categories(encoding, encoder, features) for encoding in present]
    categories = next((each for each in every if each), None)
    if categories is None or None in every:
        first = groups(encoder)[column][0]
        values, _ = next(each for each in encodings if first in each.features).numbers(features)
        return Reading(["missing" if isnan(value) else format_number(value) for value in values], values)
    ordered = all(encoding.ordered for encoding in encodings)
    texts = [categories.names[index] for index in categories.indices]
    return Reading(texts, categories.indices.astype(np.float64) if ordered else None)


def input_values(column: str, encoder: Encoder, features: FeatureColumns) -> InputValues:
    """The values of one raw column, by the encoding that keeps most of it: a number before its cohort."""
    encodings = [each for each in encoder.encodings if each.column == column]
    encoding = next((each for each in encodings if each.describes_column), encodings[0])
    categories = _row_categories(encoding, encoder, features)
    if categories is not None:
        unknown = categories.names[0] == UNKNOWN
        known = categories.indices > 0 if unknown else np.ones(len(categories.indices), dtype=np.bool_)
        return InputValues(categories.indices.astype(np.float64), known, categories.names, encoding.ordered)
    values, is_missing = encoding.numbers(features)
    return InputValues(values, ~is_missing, None, ordered=True)


def _row_categories(encoding: Encoding, encoder: Encoder, features: FeatureColumns) -> RowCategories | None:
    if any(name not in features for name in encoding.features):
        return None  # the use case excludes some of its feature columns
    return encoding.row_categories(features, encoder.vocabularies)
