"""Answers to the rows of a Spark frame: the version travels to the workers, each batch is answered like a request."""

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

from lakehouse.errors import LakehouseError
from scoring.hooks import Answer, Record
from scoring.hooks.fields import Fields, Kind
from scoring.pyfunc import records_of
from scoring.scorer import Refused, Scorer

LIMIT = 64 * 2**20  # bytes that travel with each task
REASON = "refused_because"
Frames = Iterator[pd.DataFrame]
RowOutcomes = Sequence[Answer | Refused]

_TYPES: Mapping[Kind, DataType] = {
    "boolean": BooleanType(),
    "integer": LongType(),
    "number": DoubleType(),
    "text": StringType(),
}


class VersionUnseen(LakehouseError):
    """The workers cannot get the version."""

    @classmethod
    def at(cls, folder: str) -> "VersionUnseen":
        return cls(
            f"the workers do not see {folder}, and the version is larger than the {LIMIT // 2**20} MiB that travel",
            hint="Set TMPDIR to a folder that every worker sees.",
        )


@dataclass(frozen=True)
class Packed:
    """A scorer on its way to another process or machine; the workers need this project installed.

    Attributes:
        folder: where its files are, if the worker sees that folder.
        digest: SHA-256 over the files.
        carried: the files themselves, where they are small.
    """

    folder: str
    digest: str
    carried: Mapping[str, bytes] | None = field(compare=False)

    @classmethod
    def into(cls, folder: Path, scorer: Scorer) -> Self:
        """Write the scorer's files into the folder."""
        files = {name: Path(path).read_bytes() for name, path in scorer.save(folder).items()}
        digest = sha256()
        for name, content in files.items():
            digest.update(name.encode() + content)
        small = sum(map(len, files.values())) <= LIMIT
        return cls(str(folder), digest.hexdigest(), files if small else None)

    def scorer(self) -> Scorer:
        """The scorer, read once in each process.

        Raises:
            VersionUnseen: this machine sees no folder, and nothing was carried.
        """
        return _unpacked(self)


@dataclass(frozen=True)
class Kept:
    """The columns of the input that stand beside the answers, by the names that they have in a frame."""

    names: tuple[str, ...]

    @property
    def hidden(self) -> tuple[str, ...]:
        """Names that no field of a request has: a key may be one of those too."""
        return tuple(f"_kept_{place}" for place in range(len(self.names)))

    def of(self, frame: pd.DataFrame) -> pd.DataFrame:
        return frame[list(self.hidden)].set_axis(list(self.names), axis=1)


def answered_records(rows: DataFrame, kept: Sequence[str], sent: Sequence[str], packed: Packed) -> DataFrame:
    """A table of raw records with `Scorer.outcomes`: what the endpoint answers to each.

    Args:
        rows: the records; what JSON lacks is sent as a caller would: a decimal as a number, a time as text.
        kept: the columns that stand beside the answers.
        sent: the fields of a request.
        packed: the version.
    """
    chosen, whole = Kept(tuple(kept)), [name for name in sent if isinstance(rows.schema[name].dataType, IntegralType)]

    def outcomes(frame: pd.DataFrame) -> RowOutcomes:
        # Where a value is missing, some engines bring whole numbers as floats.
        return packed.scorer().outcomes(records_of(frame[list(sent)].astype(dict.fromkeys(whole, "Int64"))))

    fields = [_as_sent(rows, name) for name in sent]
    return _mapped(rows.select(*_beside(rows, chosen), *fields), rows.schema, chosen, packed, outcomes)


def answered_features(
    rows: DataFrame, kept: Sequence[str], tables: Mapping[str, Sequence[str]], packed: Packed
) -> DataFrame:
    """A spine with its features, with `Scorer.outcomes_of`; a row that lacks one has no answer.

    Args:
        rows: keys, times and features.
        kept: the columns that stand beside the answers, and that a hook sees as the record.
        tables: the features of each table.
        packed: the version.
    """
    chosen, names = Kept(tuple(kept)), [name for features in tables.values() for name in features]

    def outcomes(frame: pd.DataFrame) -> RowOutcomes:
        features = {name: frame[name].astype("float64").to_numpy() for name in names}
        reasons = _lacking(features, tables, len(frame))
        there = np.asarray([reason is None for reason in reasons], dtype=np.bool_)
        whose = records_of(chosen.of(frame[there]))
        answers = _looked_up(packed.scorer(), {name: values[there] for name, values in features.items()}, whose)
        return [next(answers) if reason is None else Refused(reason) for reason in reasons]

    return _mapped(rows.select(*_beside(rows, chosen), *names), rows.schema, chosen, packed, outcomes)


def answer_schema(fields: Fields) -> list[StructField]:
    """The columns that an answer becomes, and why there is none."""
    columns = [StructField(name, _TYPES[kind]) for name, kind in fields.items()]
    return [*columns, StructField(REASON, StringType())]


def _mapped(
    rows: DataFrame, given: StructType, kept: Kept, packed: Packed, outcomes: Callable[[pd.DataFrame], RowOutcomes]
) -> DataFrame:
    fields = packed.scorer().fields()
    schema = StructType([*(given[name] for name in kept.names), *answer_schema(fields)])
    columns = (*fields, REASON)

    def on_worker(frames: Frames) -> Frames:
        for frame in frames:
            told = [_row(outcome, fields) for outcome in outcomes(frame)]
            answers = {
                name: pd.Series([row[place] for row in told], frame.index, dtype=object)
                for place, name in enumerate(columns)
            }
            yield kept.of(frame).assign(**answers)

    return rows.mapInPandas(on_worker, schema)


def _row(outcome: Answer | Refused, fields: Fields) -> tuple[Any, ...]:
    if isinstance(outcome, Refused):
        return (*(None for _ in fields), outcome.reason)
    return (*(outcome[name] for name in fields), None)


def _beside(rows: DataFrame, kept: Kept) -> list[Any]:
    return [rows[name].alias(hidden) for name, hidden in zip(kept.names, kept.hidden, strict=True)]


def _as_sent(rows: DataFrame, name: str) -> Any:
    kind = rows.schema[name].dataType
    if isinstance(kind, DecimalType | FloatType):
        return rows[name].cast("double").alias(name)
    if isinstance(kind, DateType | TimestampType | TimestampNTZType):
        return rows[name].cast("string").alias(name)
    return rows[name]


def _lacking(
    features: Mapping[str, np.ndarray[Any, Any]], tables: Mapping[str, Sequence[str]], rows: int
) -> list[str | None]:
    """For each row why it cannot be answered: the first table in which it found nothing, or not everything."""
    reasons: list[str | None] = [None] * rows
    for table, names in tables.items():
        missing = np.column_stack([~np.isfinite(features[name]) for name in names])
        for row in np.flatnonzero(missing.any(axis=1)):
            lacking = ", ".join(name for name, lacks in zip(names, missing[row], strict=True) if lacks)
            found = f"no value of {lacking} in" if not missing[row].all() else "nothing in"
            reasons[row] = reasons[row] or f"{found} {table} as of its time"
    return reasons


def _looked_up(
    scorer: Scorer, features: Mapping[str, np.ndarray[Any, Any]], whose: Sequence[Record]
) -> Iterator[Answer | Refused]:
    # A pipeline takes no empty matrix.
    return iter(scorer.outcomes_of(features, whose) if whose else [])


@lru_cache(maxsize=1)
def _unpacked(packed: Packed) -> Scorer:
    if Path(packed.folder).is_dir():
        return _read(Path(packed.folder))
    if packed.carried is None:
        raise VersionUnseen.at(packed.folder)
    with TemporaryDirectory(prefix="score-") as folder:
        for name, content in packed.carried.items():
            (Path(folder) / name).write_bytes(content)
        return _read(Path(folder))


def _read(folder: Path) -> Scorer:
    return Scorer.load({file.name: str(file) for file in folder.iterdir()})
