"""The raw inputs behind feature columns: which category a row is of, and what it says."""

from dataclasses import dataclass
from functools import singledispatch
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats
from scoring.encoder import Encoder
from scoring.encodings import CategoryIndex, Cohort, Encoding, FeatureColumns, Flag, OneHot, Ordinal, Vocabularies
from training.frame.raw_inputs import groups

MOST_CATEGORIES = 20
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Categories:
    """A categorical input: the name of each category, and the place of each row's among them."""

    column: str
    names: tuple[str, ...]
    places: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Reading:
    """An input as a person reads it: a text for each row, and a level to shade it by, if its values have an order."""

    texts: list[str]
    levels: Floats | None


def categorical(encoder: Encoder, features: FeatureColumns) -> list[Categories]:
    """The inputs that sort rows into at most `MOST_CATEGORIES`, in the order of the encodings."""
    found = [_decoded(encoding, encoder, features) for encoding in encoder.encodings]
    return [categories for categories in found if categories is not None and len(categories.names) <= MOST_CATEGORIES]


def reading(column: str, encoder: Encoder, features: FeatureColumns) -> Reading:
    """What each row says in one of the raw columns; of a number that has a cohort too, the number."""
    encodings = [encoding for encoding in encoder.encodings if encoding.column == column]
    found = next((decoded for one in encodings if (decoded := _decoded(one, encoder, features))), None)
    if found is None or found.column != column:
        values = features[groups(encoder)[column][0]].astype(np.float64)
        return Reading([f"{value:g}" for value in values], values)
    orderless = any(isinstance(encoding, OneHot | CategoryIndex) for encoding in encodings)
    return Reading(
        [found.names[place] for place in found.places], None if orderless else found.places.astype(np.float64)
    )


def _decoded(encoding: Encoding, encoder: Encoder, features: FeatureColumns) -> Categories | None:
    if any(name not in features for name in encoding.encode([], encoder.vocabularies)):
        return None  # the use case leaves a part of it out
    return _categories(encoding, features, encoder.vocabularies)


@singledispatch
def _categories(encoding: Encoding, features: FeatureColumns, vocabularies: Vocabularies) -> Categories | None:
    return None  # a number


@_categories.register
def _(encoding: Flag, features: FeatureColumns, vocabularies: Vocabularies) -> Categories | None:
    return Categories(encoding.column, ("false", "true"), features[encoding.column].astype(np.int64))


@_categories.register
def _(encoding: Cohort, features: FeatureColumns, vocabularies: Vocabularies) -> Categories | None:
    bounds = encoding.bounds
    inner = [f"{low:g} to below {high:g}" if high - low != 1 else f"{low:g}" for low, high in pairwise(bounds)]
    names = (UNKNOWN, f"below {bounds[0]:g}", *inner, f"{bounds[-1]:g} and above")
    return Categories(f"{encoding.column} cohort", names, features[encoding.feature].astype(np.int64))


@_categories.register
def _(encoding: OneHot, features: FeatureColumns, vocabularies: Vocabularies) -> Categories | None:
    columns = np.stack([features[name] for name in encoding.encode([], vocabularies)], axis=1)
    places = np.where(columns.any(axis=1), columns.argmax(axis=1) + 1, 0)
    return Categories(encoding.column, (UNKNOWN, *encoding.categories), places.astype(np.int64))


@_categories.register
def _(encoding: Ordinal, features: FeatureColumns, vocabularies: Vocabularies) -> Categories | None:
    column = encoding.column
    places = np.where(features[f"{column}_is_missing"] == 0, features[f"{column}_level"], 0)
    return Categories(column, (UNKNOWN, *encoding.categories), places.astype(np.int64))


@_categories.register
def _(encoding: CategoryIndex, features: FeatureColumns, vocabularies: Vocabularies) -> Categories | None:
    names = (UNKNOWN, *vocabularies[encoding.index][1:])
    places = features[encoding.feature]
    return Categories(encoding.column, names, np.where(places < len(names), places, 0).astype(np.int64))
