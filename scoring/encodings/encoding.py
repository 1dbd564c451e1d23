"""Base class of an encoding: everything that training, endpoint, batch and report need to know about one kind."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from scoring.encodings.column_writers import CodeWriter, ColumnWriter, place_writer
from scoring.encodings.field_types import ChoiceField, FieldType
from scoring.encodings.row_writers import EncodedRow, RowCells, RowWriter, choice_writer, row_cells, write_cells
from scoring.hooks.fields import Kind
from scoring.texts.terms import Analysis

Values = npt.NDArray[Any]  # of a request float64; of a table as narrow as the table has them; texts as objects
FeatureColumns = Mapping[str, Values]
Vocabularies = Mapping[str, Sequence[str]]  # index table -> categories by integer; 0 stands for unknown
UnknownCategories = Literal["refuse", "missing"]  # policy for a category that is not listed
FeatureType = Literal["boolean", "numeric", "categorical", "text"]
JsonSchema = dict[str, Any]

KINDS: "dict[str, type[Encoding]]" = {}  # every encoding by its `as:` in YAML, in the order of definition


class EncodingContext(Protocol):
    """Vocabularies, features and policy that training freezes for all encodings of a use case; see `Encoder`."""

    @property
    def vocabularies(self) -> Vocabularies: ...

    @property
    def features(self) -> tuple[str, ...]:
        """The feature columns that the model reads, in matrix order."""

    @property
    def unknown_categories(self) -> UnknownCategories: ...

    def known_categories(self, index_table: str) -> frozenset[str]: ...


@dataclass(frozen=True)
class RowCategories:
    """The category of each row, read back from feature columns.

    Attributes:
        label: name of the categorical input in the report.
        names: name of each category; the first may be "unknown".
        indices: (rows,) index of each row's category in `names`.
    """

    label: str
    names: tuple[str, ...]
    indices: npt.NDArray[np.int64]


class Encoding(BaseModel, ABC):
    """One raw column as feature columns.

    A new kind is one subclass with its `kind` as a literal, and one SQL macro of the name `sql_macro()`.

    Attributes:
        column: the raw column.
        kind: `as:` in YAML.
        field_kind: type of a request value, for the MLflow signature.
        feature_type: type of the feature columns in the feature catalogue.
        ordered: the values have an order, by which the report shades them.
        describes_column: False leaves the description of the column to its other encodings.
        is_free_text: True if the raw column is a free text, whose statistics are those of its length.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    field_kind: ClassVar[Kind] = "number"
    feature_type: ClassVar[FeatureType] = "numeric"
    ordered: ClassVar[bool] = True
    describes_column: ClassVar[bool] = True
    is_free_text: ClassVar[bool] = False

    column: str
    kind: str = Field(alias="as")

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        for kind in get_args(cls.model_fields["kind"].annotation):  # none of a class that only other kinds inherit
            if kind in KINDS:
                raise TypeError(f"encoding '{kind}' is defined twice: {KINDS[kind].__name__} and {cls.__name__}")
            KINDS[kind] = cls

    @property
    def sql_macro(self) -> str:
        """The macro in `dbt_project/macros` that makes the same feature columns; `encoded_features` calls it."""
        return f"encode_{self.kind}"

    @property
    def nullable(self) -> bool:
        """True if a request may send null."""
        return True

    @property
    def nullable_features(self) -> frozenset[str]:
        """The feature columns in which a missing value stays NULL; in arrays it is NaN."""
        return frozenset()

    @property
    def index_table(self) -> str | None:
        """The index table whose vocabulary the encoding needs."""
        return None

    @property
    def text_features(self) -> Mapping[str, Analysis]:
        """The feature columns that are texts, with the rule that finds their terms; all others are numbers."""
        return {}

    @property
    def vectors(self) -> Mapping[str, tuple[str, ...]]:
        """The columns of the table that hold several features as an array, with these features in its order."""
        return {}

    @property
    def table_columns(self) -> tuple[str, ...]:
        """Names of the columns of the table that hold the features."""
        inside = {name for features in self.vectors.values() for name in features}
        return (*(name for name in self.features if name not in inside), *self.vectors)

    @property
    def packages(self) -> frozenset[str]:
        """Packages that a request needs for its encoding, in addition to numpy."""
        return frozenset()

    def require_files(self, artifacts: Mapping[str, str] | None = None) -> None:
        """Open the files that encoding needs: those among the artifacts of a version, else installed ones."""

    def files(self) -> Mapping[str, bytes]:
        """The files that a version needs for its encoding, by name."""
        return {}

    @property
    @abstractmethod
    def features(self) -> tuple[str, ...]:
        """Names of the feature columns."""

    @abstractmethod
    def encode_columns(self, values: Sequence[Any], vocabularies: Vocabularies) -> Sequence[Sequence[Any]]:
        """Encode checked values: one sequence of numbers for each feature column."""

    def encode(self, values: Sequence[Any], vocabularies: Vocabularies) -> dict[str, Values]:
        """Encode checked values as arrays by feature column."""
        columns = self.encode_columns(values, vocabularies)
        arrays = (np.asarray(column, dtype=np.float64) for column in columns)
        return dict(zip(self.features, arrays, strict=True))

    def row_writer(self, context: EncodingContext) -> RowWriter:
        """Prepare the function that checks one request value and writes its features into a row.

        Returns False for invalid values, and for rare valid ones, which the caller then encodes on the slow path.
        Subclasses override it for speed.
        """

        def write(value: Any, row: EncodedRow) -> bool:
            return self.accepts(value, context) and write_cells(self.row_cells([value], context)[0], row)

        return write

    def choice_writer(self, values: Sequence[Any], context: EncodingContext) -> RowWriter:
        """The writer of an encoding that accepts few values; an unlisted category is refused or missing."""
        known = dict(zip(values, self.row_cells(values, context), strict=True))
        return choice_writer(known, known.get(None) if context.unknown_categories == "missing" else None)

    def column_writer(self, context: EncodingContext) -> ColumnWriter | None:
        """Prepare the function that checks the values of many rows at once and writes their features, or None."""
        return None

    def field_type(self, context: EncodingContext) -> FieldType | None:
        """The values that a request may send, for a decoder that checks them; None if only `accepts` can."""
        return None

    def code_writer(self, field: FieldType, context: EncodingContext) -> CodeWriter:
        """Prepare the function that writes features from codes of a field that admits no more than `accepts`."""
        if not isinstance(field, ChoiceField):
            raise TypeError(f"{self.kind} writes no features from {field}")
        without_place = [None] if field.nullable or field.is_open else []
        return place_writer(self.row_cells([*field.values, *without_place], context), len(context.features))

    def row_cells(self, values: Sequence[Any], context: EncodingContext) -> list[RowCells]:
        """The nonzero cells that each value fills in a row."""
        return row_cells(self.encode(values, context.vocabularies), context.features, len(values))

    @abstractmethod
    def accepts(self, value: object, context: EncodingContext) -> bool:
        """True if a request may send the value."""

    @abstractmethod
    def expected(self, context: EncodingContext) -> str:
        """Describe accepted values for the error message of a refused one."""

    @abstractmethod
    def json_schema(self, context: EncodingContext) -> JsonSchema:
        """JSON schema of accepted values, for the endpoint's OpenAPI document."""

    def boundary_values(self, feature: str) -> frozenset[float]:
        """Numbers at the bounds that a feature may have, for tests of compiled models; empty for other features."""
        return frozenset()

    def examples(self, golden: Any, context: EncodingContext) -> Sequence[Any]:
        """Values from which golden rows are drawn, besides that of the golden request; refused ones are dropped."""
        return [None]

    def index_sizes(self, vocabularies: Vocabularies) -> Mapping[str, int]:
        """Number of categories, unknown included, of each feature column that is a category index."""
        return {}

    def vocabularies_of(self, columns: FeatureColumns) -> Vocabularies:
        """The vocabularies that the encoding learns from the texts of a frame, by text feature."""
        return {}

    def numbers(self, features: FeatureColumns) -> tuple[Values, npt.NDArray[np.bool_]]:
        """(rows,) the number that stands for the raw column in statistics, and True where its value is missing."""
        known = [name for name in self.features if name in features]  # the use case may exclude some
        values = np.asarray(features[known[0]], dtype=np.float64)
        flags = [features[name] for name in self.features[1:] if name in features]
        return values, np.asarray(flags[0] != 0) if flags else np.zeros(len(values), dtype=np.bool_)

    def row_categories(self, features: FeatureColumns, vocabularies: Vocabularies) -> RowCategories | None:
        """Read the category of each row back from the feature columns; None for a number."""
        return None
