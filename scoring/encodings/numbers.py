"""Encodings of numbers and booleans: the number itself, its cohort, a flag."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import isfinite
from typing import Any, ClassVar, Literal, Self, TypeGuard

import numpy as np
from pydantic import Field, model_validator

from lakehouse.arrays import Floats, Mask
from lakehouse.wording import format_number
from scoring.encodings.column_writers import (
    CodeWriter,
    ColumnWriter,
    flag_writer,
    number_writer,
    place_writer,
    plain_numbers,
)
from scoring.encodings.encoding import (
    Encoding,
    EncodingContext,
    FeatureColumns,
    FeatureType,
    JsonSchema,
    RowCategories,
    Values,
    Vocabularies,
)
from scoring.encodings.field_types import BOOLEANS, NO_PLACE, ChoiceField, FieldType, NumberField
from scoring.encodings.row_writers import EncodedRow, RowWriter, write_cells
from scoring.hooks.fields import Kind

LARGEST = 1e15  # beyond it, doubles skip whole numbers, and squares leave what single precision holds
UNKNOWN = "unknown"  # name of category 0 in reports


class Number(Encoding):
    """A number as it is.

    Attributes:
        type: `integer` refuses fractions.
        minimum: least accepted value.
        maximum: greatest accepted value.
        impute: a missing number becomes this value and is marked.
        missing: `keep`: a missing number stays NULL in the feature table, and the model reads that it is missing.
            Without it, a missing number is refused, unless it is imputed.
    """

    kind: Literal["number"] = Field(alias="as")
    type: Literal["integer", "double"] = "integer"
    minimum: float | None = None
    maximum: float | None = None
    impute: float | None = None
    missing: Literal["keep"] | None = None

    @model_validator(mode="after")
    def _require_range(self) -> Self:
        if self.impute is not None and self.missing is not None:
            raise ValueError(f"{self.column} has both `impute` and `missing`: a missing number is replaced or kept")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum {format_number(self.minimum)} is above maximum {format_number(self.maximum)}")
        return self

    @property
    def nullable(self) -> bool:
        return self.impute is not None or self.missing is not None

    @property
    def nullable_features(self) -> frozenset[str]:
        return frozenset() if self.missing is None else frozenset({self.column})

    @property
    def features(self) -> tuple[str, ...]:
        return (self.column,) if self.impute is None else (self.column, f"{self.column}_is_missing")

    def encode_columns(self, values: Sequence[Any], vocabularies: Vocabularies) -> Sequence[Sequence[float]]:
        if self.impute is None:
            return [values]
        return [[self.impute if value is None else value for value in values], [value is None for value in values]]

    def boundary_values(self, feature: str) -> frozenset[float]:
        """The smallest and largest numbers with their neighbours, and the imputed one."""
        if feature != self.column:
            return frozenset({0.0, 1.0})  # the mark of a missing number
        low, high = self._bounds()
        inside = {
            low,
            low + 1,
            float(np.nextafter(low, np.inf)),
            float(np.nextafter(high, -np.inf)),
            high - 1,
            high,
            0.0,
        }
        return frozenset(inside if self.impute is None else inside | {self.impute})

    def _bounds(self) -> tuple[float, float]:
        low = -LARGEST if self.minimum is None else max(-LARGEST, self.minimum)
        return low, LARGEST if self.maximum is None else min(LARGEST, self.maximum)

    def field_type(self, context: EncodingContext) -> FieldType:
        return NumberField(*self._bounds(), self.type == "integer", self.nullable)

    def code_writer(self, field: FieldType, context: EncodingContext) -> CodeWriter:
        index = index_of(self.column, context)
        imputes = self.impute is not None
        missing = self.row_cells([None], context)[0] if imputes else ()

        def write(numbers: Floats, matrix: Floats) -> None:
            if index is not None:
                matrix[:, index] = numbers
            if imputes and (are_missing := np.isnan(numbers)).any():
                if index is not None:
                    matrix[are_missing, index] = 0.0
                for cell, number in missing:
                    matrix[are_missing, cell] = number

        return write

    def column_writer(self, context: EncodingContext) -> ColumnWriter:
        return number_writer(index_of(self.column, context), *self._bounds(), whole=self.type == "integer")

    def row_writer(self, context: EncodingContext) -> RowWriter:
        index = index_of(self.column, context)
        missing = self.row_cells([None], context)[0] if self.nullable else None
        low, high = self._bounds()
        is_integer = self.type == "integer"

        def write(value: Any, row: EncodedRow) -> bool:
            kind = type(value)
            if kind is int or kind is float:
                if not low <= value <= high or (is_integer and kind is float and value != int(value)):
                    return False
                if index is not None:
                    row[index] = float(value)
                return True
            if value is not None or missing is None:
                return False
            return write_cells(missing, row)

        return write

    def accepts(self, value: object, context: EncodingContext) -> bool:
        if value is None:
            return self.nullable
        if not is_number(value):
            return False
        if self.type == "integer" and value != int(value):
            return False
        return (self.minimum is None or value >= self.minimum) and (self.maximum is None or value <= self.maximum)

    def expected(self, context: EncodingContext) -> str:
        bounds = [
            f"at {word} {format_number(bound)}"
            for word, bound in (("least", self.minimum), ("most", self.maximum))
            if bound is not None
        ]
        return " ".join([self.type, *bounds]) + (" or null" if self.nullable else "")

    def json_schema(self, context: EncodingContext) -> JsonSchema:
        kind = "integer" if self.type == "integer" else "number"
        low = -LARGEST if self.minimum is None else self.minimum
        high = LARGEST if self.maximum is None else self.maximum
        return {"type": [kind, "null"] if self.nullable else kind, "minimum": low, "maximum": high}

    def examples(self, golden: Any, context: EncodingContext) -> Sequence[Any]:
        return near(golden)

    def numbers(self, features: FeatureColumns) -> tuple[Values, Mask]:
        values, is_missing = super().numbers(features)
        return values, is_missing | np.isnan(values)


class Flag(Encoding):
    """A boolean as 0 or 1."""

    field_kind: ClassVar[Kind] = "boolean"
    feature_type: ClassVar[FeatureType] = "boolean"

    kind: Literal["flag"] = Field(alias="as")

    @property
    def nullable(self) -> bool:
        return False

    @property
    def features(self) -> tuple[str, ...]:
        return (self.column,)

    def encode_columns(self, values: Sequence[Any], vocabularies: Vocabularies) -> Sequence[Sequence[float]]:
        return [values]

    def row_writer(self, context: EncodingContext) -> RowWriter:
        return self.choice_writer((True, False), context)

    def field_type(self, context: EncodingContext) -> FieldType:
        return ChoiceField(BOOLEANS, nullable=False)

    def column_writer(self, context: EncodingContext) -> ColumnWriter:
        return flag_writer(index_of(self.column, context))

    def accepts(self, value: object, context: EncodingContext) -> bool:
        return isinstance(value, bool)

    def expected(self, context: EncodingContext) -> str:
        return "true or false"

    def json_schema(self, context: EncodingContext) -> JsonSchema:
        return {"type": "boolean"}

    def examples(self, golden: Any, context: EncodingContext) -> Sequence[Any]:
        return [True, False]

    def row_categories(self, features: FeatureColumns, vocabularies: Vocabularies) -> RowCategories:
        return RowCategories(self.column, ("false", "true"), features[self.column].astype(np.int64))


class Cohort(Encoding):
    """The cohort of a number: 1 below the first bound, 2 from the first to below the second; 0 unknown.

    Attributes:
        bounds: ascending bounds; each begins a cohort.
    """

    feature_type: ClassVar[FeatureType] = "categorical"
    describes_column: ClassVar[bool] = False  # it takes what the number of the same column takes

    kind: Literal["cohort"] = Field(alias="as")
    bounds: tuple[float, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _require_ascending_bounds(self) -> Self:
        if list(self.bounds) != sorted(set(self.bounds)):
            raise ValueError(f"bounds must ascend: {self.bounds}")
        return self

    @property
    def feature(self) -> str:
        return f"{self.column}_cohort"

    @property
    def features(self) -> tuple[str, ...]:
        return (self.feature,)

    def encode_columns(self, values: Sequence[Any], vocabularies: Vocabularies) -> Sequence[Sequence[float]]:
        return [[0 if value is None else 1 + bisect_right(self.bounds, value) for value in values]]

    def column_writer(self, context: EncodingContext) -> ColumnWriter:
        write_numbers = self._number_writer(context)

        def write(values: Sequence[Any], matrix: Floats) -> bool:
            numbers = plain_numbers(values)
            if numbers is None or not (np.abs(numbers) <= LARGEST).all():
                return False
            write_numbers(numbers, matrix)
            return True

        return write

    def field_type(self, context: EncodingContext) -> FieldType:
        return NumberField(-LARGEST, LARGEST, False, True)

    def code_writer(self, field: FieldType, context: EncodingContext) -> CodeWriter:
        return self._number_writer(context)

    def _number_writer(self, context: EncodingContext) -> CodeWriter:
        bounds = np.asarray(self.bounds)
        write_places = place_writer(
            self.row_cells([self.bounds[0] - 1, *self.bounds, None], context), len(context.features)
        )

        def write(numbers: Floats, matrix: Floats) -> None:
            places = np.searchsorted(bounds, numbers, side="right")
            places[np.isnan(numbers)] = NO_PLACE
            write_places(places, matrix)

        return write

    def row_writer(self, context: EncodingContext) -> RowWriter:
        bounds = self.bounds
        missing, *cohorts = self.row_cells([None, bounds[0] - 1, *bounds], context)

        def write(value: Any, row: EncodedRow) -> bool:
            if value is None:
                return write_cells(missing, row)
            kind = type(value)
            if (kind is not int and kind is not float) or not -LARGEST <= value <= LARGEST:
                return False
            return write_cells(cohorts[bisect_right(bounds, value)], row)

        return write

    def accepts(self, value: object, context: EncodingContext) -> bool:
        return value is None or is_number(value)

    def expected(self, context: EncodingContext) -> str:
        return "a number or null"

    def json_schema(self, context: EncodingContext) -> JsonSchema:
        return {"type": ["number", "null"], "minimum": -LARGEST, "maximum": LARGEST}

    def examples(self, golden: Any, context: EncodingContext) -> Sequence[Any]:
        return near(golden)

    def index_sizes(self, vocabularies: Vocabularies) -> Mapping[str, int]:
        return {self.feature: len(self.bounds) + 2}

    def row_categories(self, features: FeatureColumns, vocabularies: Vocabularies) -> RowCategories:
        low, high = self.bounds[0], self.bounds[-1]
        inner = [
            format_number(a) if b - a == 1 else f"{format_number(a)} to below {format_number(b)}"
            for a, b in pairwise(self.bounds)
        ]
        names = (UNKNOWN, f"below {format_number(low)}", *inner, f"{format_number(high)} and above")
        return RowCategories(f"{self.column} cohort", names, features[self.feature].astype(np.int64))


def index_of(feature: str, context: EncodingContext) -> int | None:
    """Index of a feature in a row; None if the model ignores it."""
    return context.features.index(feature) if feature in context.features else None


def is_number(value: object) -> TypeGuard[int | float]:
    """True if the value is a finite number of at most `LARGEST`; a boolean is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return isfinite(value) and abs(value) <= LARGEST
    except OverflowError:  # an integer too large for a double
        return False


def near(golden: object) -> list[Any]:
    """Numbers near that of the golden request, and a missing one."""
    if isinstance(golden, bool) or not isinstance(golden, int | float):
        return [None]
    return [None, 0, 2 * golden]
