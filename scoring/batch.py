"""Batch scoring of a Spark frame: the version travels to the workers, which score each batch like a request."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql.types import (
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegralType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from lakehouse.payload_limit import PAYLOAD_LIMIT, PayloadTooLarge
from scoring.hooks import Record, Response
from scoring.hooks.fields import Fields, Kind
from scoring.pyfunc import records_of
from scoring.scorer import RejectedRecord, Scorer

REASON_COLUMN = "refused_because"
Frames = Iterator[pd.DataFrame]
Outcomes = Sequence[Response | RejectedRecord]

_TYPES: Mapping[Kind, DataType] = {
    "boolean": BooleanType(),
    "integer": LongType(),
    "number": DoubleType(),
    "text": StringType(),
}
_REASON = StructField(REASON_COLUMN, StringType())


@dataclass(frozen=True)
class PackedScorer:
    """A scorer for another process or machine; the workers need this project installed.

    Attributes:
        folder: the folder of its files, for workers that see it.
        digest: SHA-256 over the files.
        content: the content of each file, if all together are small enough to travel.
    """

    folder: str
    digest: str
    content: Mapping[str, bytes] | None = field(compare=False)

    @classmethod
    def pack(cls, folder: Path, scorer: Scorer) -> Self:
        """Write the scorer's files into the folder."""
        files = {name: Path(path).read_bytes() for name, path in scorer.save(folder).items()}
        digest = sha256()
        for name, content in files.items():
            digest.update(name.encode() + content)
        small = sum(map(len, files.values())) <= PAYLOAD_LIMIT
        return cls(str(folder), digest.hexdigest(), files if small else None)

    def scorer(self) -> Scorer:
        """The scorer, loaded once in each process.

        Raises:
            PayloadTooLarge: this machine does not see the folder, and the files did not travel.
        """
        return _unpacked(self)


@dataclass(frozen=True)
class KeptColumns:
    """Input columns that the scored table keeps next to the predictions."""

    names: tuple[str, ...]

    @property
    def hidden(self) -> tuple[str, ...]:
        """Temporary names without a conflict: a key may also be a field of a request."""
        return tuple(f"_kept_{index}" for index in range(len(self.names)))

    def of(self, frame: pd.DataFrame) -> pd.DataFrame:
        return frame[list(self.hidden)].set_axis(list(self.names), axis=1)


def score_records(rows: DataFrame, kept: Sequence[str], sent: Sequence[str], packed: PackedScorer) -> DataFrame:
    """Score a table of raw records with `Scorer.outcomes`: the responses equal those of the endpoint.

    Args:
        rows: the records; types that JSON lacks are converted: a decimal to a number, a time to text.
        kept: the columns to keep next to the predictions.
        sent: the fields of a request.
        packed: the version.
    """
    integers = [name for name in sent if isinstance(rows.schema[name].dataType, IntegralType)]

    def outcomes(frame: pd.DataFrame) -> Outcomes:
        # Some engines turn an integer column with missing values into floats.
        return packed.scorer().outcomes(records_of(frame[list(sent)].astype(dict.fromkeys(integers, "Int64"))))

    fields = [_as_json_type(rows, name) for name in sent]
    return _mapped(rows, KeptColumns(tuple(kept)), fields, packed, outcomes)


def score_features(
    rows: DataFrame, kept: Sequence[str], tables: Mapping[str, Sequence[str]], packed: PackedScorer
) -> DataFrame:
    """Score a spine with its features with `Scorer.outcomes_of_features`; reject rows with missing features.

    Args:
        rows: keys, times and features.
        kept: the columns to keep next to the predictions; a hook gets them as the record.
        tables: the features of each table.
        packed: the version.
    """
    columns, names = KeptColumns(tuple(kept)), [name for features in tables.values() for name in features]

    def outcomes(frame: pd.DataFrame) -> Outcomes:
        features = {name: frame[name].astype("float64").to_numpy() for name in names}
        reasons = _missing_features(features, tables, len(frame))
        complete = np.asarray([reason is None for reason in reasons], dtype=np.bool_)
        records = records_of(columns.of(frame[complete]))
        found = _outcomes(packed.scorer(), {name: values[complete] for name, values in features.items()}, records)
        return [next(found) if reason is None else RejectedRecord(reason) for reason in reasons]

    return _mapped(rows, columns, names, packed, outcomes)


def _mapped(
    rows: DataFrame,
    kept: KeptColumns,
    inputs: Sequence[Any],
    packed: PackedScorer,
    outcomes: Callable[[pd.DataFrame], Outcomes],
) -> DataFrame:
    """Map batches of the kept columns and the inputs to the kept columns, the response fields and the reason."""
    fields = packed.scorer().fields()
    kept_fields = [rows.schema[name] for name in kept.names]
    schema = StructType([*kept_fields, *(StructField(name, _TYPES[kind]) for name, kind in fields.items()), _REASON])
    columns = (*fields, REASON_COLUMN)

    def on_worker(frames: Frames) -> Frames:
        for frame in frames:
            cells = [_cells(outcome, fields) for outcome in outcomes(frame)]
            series = {
                name: pd.Series([row[index] for row in cells], frame.index, dtype=object)
                for index, name in enumerate(columns)
            }
            yield kept.of(frame).assign(**series)

    hidden = [rows[name].alias(alias) for name, alias in zip(kept.names, kept.hidden, strict=True)]
    return rows.select(*hidden, *inputs).mapInPandas(on_worker, schema)


def _cells(outcome: Response | RejectedRecord, fields: Fields) -> tuple[Any, ...]:
    if isinstance(outcome, RejectedRecord):
        return (*(None for _ in fields), outcome.reason)
    return (*(outcome[name] for name in fields), None)


def _as_json_type(rows: DataFrame, name: str) -> Any:
    data_type = rows.schema[name].dataType
    if isinstance(data_type, DecimalType | FloatType):
        return rows[name].cast("double").alias(name)
    if isinstance(data_type, DateType | TimestampType | TimestampNTZType):
        return rows[name].cast("string").alias(name)
    return rows[name]


def _missing_features(
    features: Mapping[str, np.ndarray[Any, Any]], tables: Mapping[str, Sequence[str]], rows: int
) -> list[str | None]:
    """Reason for each row that cannot be scored: the first table without a row or without a value for it."""
    reasons: list[str | None] = [None] * rows
    for table, names in tables.items():
        missing = np.column_stack([~np.isfinite(features[name]) for name in names])
        for row in np.flatnonzero(missing.any(axis=1)):
            columns = ", ".join(name for name, is_missing in zip(names, missing[row], strict=True) if is_missing)
            lacks = "no row in" if missing[row].all() else f"no value of {columns} in"
            reasons[row] = reasons[row] or f"{lacks} {table} as of its time"
    return reasons


def _outcomes(
    scorer: Scorer, features: Mapping[str, np.ndarray[Any, Any]], records: Sequence[Record]
) -> Iterator[Response | RejectedRecord]:
    # A pipeline refuses an empty matrix.
    return iter(scorer.outcomes_of_features(features, records) if records else [])


@lru_cache(maxsize=1)
def _unpacked(packed: PackedScorer) -> Scorer:
    if Path(packed.folder).is_dir():
        return _load(Path(packed.folder))
    if packed.content is None:
        raise PayloadTooLarge.of("the version", packed.folder)
    with TemporaryDirectory(prefix="score-") as folder:
        for name, content in packed.content.items():
            (Path(folder) / name).write_bytes(content)
        return _load(Path(folder))


def _load(folder: Path) -> Scorer:
    return Scorer.load({file.name: str(file) for file in folder.iterdir()})
