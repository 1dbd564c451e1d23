"""Batch scoring of a Spark frame: the version travels to the workers, which score each batch like a request.

Values stay in Arrow's types from the input table to the output table. In pandas a missing value would turn integers
into floats, and a float would change keys beyond 2^53.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from math import isnan
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)
from pyspark.sql.types import (
    BooleanType,
    DataType,
    DateType,
    DoubleType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from lakehouse.arrays import Mask
from lakehouse.engine.payload_limit import PAYLOAD_LIMIT, PayloadTooLarge
from lakehouse.tables.array_columns import numbers_of
from lakehouse.tables.column_names import column_names
from scoring.hooks import Record, Response
from scoring.hooks.fields import Fields, Kind
from scoring.scorer import RejectedRecord, Scorer

REASON_COLUMN = "refused_because"
_RECORD = "_record_"  # prefix of the fields of a record: a feature may have the same name
Batches = Iterator[pa.RecordBatch]
Outcomes = Sequence[Response | RejectedRecord]

_TYPES: Mapping[Kind, tuple[DataType, pa.DataType]] = {
    "boolean": (BooleanType(), pa.bool_()),
    "integer": (LongType(), pa.int64()),
    "number": (DoubleType(), pa.float64()),
    "text": (StringType(), pa.string()),
}


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
class Inputs:
    """Columns of the table that is scored.

    Attributes:
        kept: columns that the scored table keeps, in their types.
        record: fields of each row's record, converted to the types of JSON; a kept column may be one of them.
        features: feature columns.
    """

    kept: Sequence[str]
    record: Sequence[str]
    features: Sequence[str] = ()

    def of(self, rows: DataFrame) -> DataFrame:
        """The columns in this order, with names for each use."""
        kept = [_column(name).alias(f"_kept_{index}") for index, name in enumerate(self.kept)]
        record = [_as_json_type(rows, name).alias(_RECORD + name) for name in self.record]
        return rows.select(*kept, *record, *map(_column, self.features))


def score_records(rows: DataFrame, kept: Sequence[str], sent: Sequence[str], packed: PackedScorer) -> DataFrame:
    """Score a table of raw records with `Scorer.outcomes`: the responses equal those of the endpoint.

    Args:
        rows: the records; types that JSON lacks are converted: a decimal to a number, a time to text.
        kept: the columns to keep next to the predictions.
        sent: the fields of a request.
        packed: the version.
    """

    def outcomes(batch: pa.RecordBatch) -> Outcomes:
        return packed.scorer().outcomes(_records(batch, sent))

    return _mapped(rows, Inputs(kept, sent), packed, outcomes)


def score_features(
    rows: DataFrame, kept: Sequence[str], tables: Mapping[str, Sequence[str]], packed: PackedScorer
) -> DataFrame:
    """Score a spine with its features with `Scorer.outcomes_of_features`; reject rows with missing features.

    Args:
        rows: keys, times and features.
        kept: the columns to keep next to the predictions; a hook gets them as the record, in the types of JSON.
        tables: the columns of each table: features, and the marker of a found row if there is one.
        packed: the version.
    """
    names = [name for features in tables.values() for name in features]

    def outcomes(batch: pa.RecordBatch) -> Outcomes:
        encoder = packed.scorer().encoder
        columns: dict[str, np.ndarray[Any, Any]] = {}
        for name in names:
            if (features := encoder.vectors.get(name)) is not None:
                columns |= dict(zip(features, numbers_of(batch.column(name), name, len(features)).T, strict=True))
            else:
                columns[name] = _feature(batch.column(name))
        reasons = _missing_features(dict(encoder.lacking(columns, tables.values())), tables, batch.num_rows)
        complete = np.asarray([reason is None for reason in reasons], dtype=np.bool_)
        records = _records(batch.filter(pa.array(complete)), kept)
        found = _outcomes(packed.scorer(), {name: columns[name][complete] for name in encoder.features}, records)
        return [next(found) if reason is None else RejectedRecord(reason) for reason in reasons]

    return _mapped(rows, Inputs(kept, kept, names), packed, outcomes)


def _mapped(
    rows: DataFrame, inputs: Inputs, packed: PackedScorer, outcomes: Callable[[pa.RecordBatch], Outcomes]
) -> DataFrame:
    """Map batches of the inputs to the kept columns, the response fields and the reason."""
    fields = packed.scorer().fields()
    names = column_names(fields)
    added = [(names[name], *_TYPES[kind]) for name, kind in fields.items()] + [(REASON_COLUMN, *_TYPES["text"])]
    kept = [rows.schema[name] for name in inputs.kept]
    columns = [*kept, *(StructField(name, data_type) for name, data_type, _ in added)]
    schema = StructType([StructField(f"_{at}", each.dataType) for at, each in enumerate(columns)])

    def on_worker(batches: Batches) -> Batches:
        for batch in batches:
            cells = [_cells(outcome, fields) for outcome in outcomes(batch)]
            arrays = batch.columns[: len(kept)]  # as they came
            arrays += [pa.array([row[at] for row in cells], arrow) for at, (*_, arrow) in enumerate(added)]
            yield pa.RecordBatch.from_arrays(arrays, names=schema.names)

    written = [F.col(f"_{at}").alias(each.name) for at, each in enumerate(columns)]
    return inputs.of(rows).mapInArrow(on_worker, schema).select(*written)


def _cells(outcome: Response | RejectedRecord, fields: Fields) -> tuple[Any, ...]:
    if isinstance(outcome, RejectedRecord):
        return (*(None for _ in fields), outcome.reason)
    return (*(outcome[name] for name in fields), None)


def _column(name: str) -> Column:
    return F.col("`" + name.replace("`", "``") + "`")


def _as_json_type(rows: DataFrame, name: str) -> Column:
    is_time = isinstance(rows.schema[name].dataType, DateType | TimestampType | TimestampNTZType)
    return _column(name).cast("string") if is_time else _column(name)


def _records(batch: pa.RecordBatch, names: Sequence[str]) -> list[Record]:
    """The rows of a batch as records; NaN is a missing value, as in a frame of pandas."""
    if not names:
        return [{} for _ in range(batch.num_rows)]
    columns = [_values(batch.column(_RECORD + name)) for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _values(column: pa.Array) -> list[Any]:
    if pa.types.is_decimal(column.type):
        # Python rounds a decimal to the nearest float, as a reader of JSON does; whole numbers stay exact.
        to_number: Callable[[Any], int | float] = float if column.type.scale > 0 else int
        return [None if value is None else to_number(value) for value in column.to_pylist()]
    if pa.types.is_floating(column.type):
        return [None if value is None or isnan(value) else value for value in column.to_pylist()]
    return list(column.to_pylist())


def _feature(column: pa.Array) -> np.ndarray[Any, Any]:
    """A feature like in a training frame: doubles, where NULL becomes NaN, or texts."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return np.asarray(column.to_pandas(), dtype=object)
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))


def _missing_features(
    lacking: Mapping[str, Mask], tables: Mapping[str, Sequence[str]], rows: int
) -> list[str | None]:
    """Reason for each row that cannot be scored: the first table without a row or without a value for it."""
    reasons: list[str | None] = [None] * rows
    for table, columns_of_table in tables.items():
        names = [name for name in columns_of_table if name in lacking]
        missing = np.column_stack([lacking[name] for name in names])
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
