"""The training frame: a spine with features as of its times, as one sparse matrix, split by time."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import sparse

from lakehouse.errors import LakehouseError
from training.encoding import Columns, Encoder, Encoding, Number, Values, index_tables
from training.feature_store import FeatureLookup, FeatureStore, FeatureTable, Spine, Versions
from training.use_case import Lookup, UseCase

Times = npt.NDArray[np.datetime64]
_NUMBERS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean)


class FrameRefused(LakehouseError):
    """The tables are there, and no model can be trained on what they say."""

    @classmethod
    def no_rows(cls, table: str) -> "FrameRefused":
        return cls(f"the spine {table} has no rows", hint="Look at its source, then run: dbt build")

    @classmethod
    def nothing_found(cls, tables: Sequence[str]) -> "FrameRefused":
        return cls(
            f"no row of the spine finds features in {' and '.join(tables)}",
            hint="Compare the keys and times of the spine with those of the tables: python -m training.features",
        )

    @classmethod
    def no_features(cls, use_case: str) -> "FrameRefused":
        return cls(f"{use_case} leaves out every feature", hint="Exclude fewer in the use case.")

    @classmethod
    def named_twice(cls, feature: str, tables: list[str]) -> "FrameRefused":
        return cls(
            f"the feature '{feature}' comes from {' and '.join(tables)}",
            hint="Exclude it from all but one of them in the use case, or rename it in a gold model.",
        )

    @classmethod
    def no_number(cls, feature: str, kind: str) -> "FrameRefused":
        return cls(
            f"the feature '{feature}' is {kind} and no number", hint="Encode it in its gold model, or exclude it."
        )

    @classmethod
    def missing(cls, counts: Mapping[str, int], rows: int) -> "FrameRefused":
        shown = ", ".join(f"{name} in {count}" for name, count in counts.items())
        return cls(
            f"values are missing in rows of the spine ({rows} in all): {shown}",
            hint="Impute them in the gold model, or leave them out with `exclude`.",
        )

    @classmethod
    def labels(cls, values: list[object], where: str) -> "FrameRefused":
        return cls(
            f"a binary label needs both 0 and 1, and nothing else; {where} has only {values}",
            hint="Correct `labels` or `split` in the use case, or the label model.",
        )


@dataclass(frozen=True)
class TrainingFrame:
    """Checked rows in order of time, ready to fit.

    Attributes:
        x: (rows, columns) sparse float64.
        columns: the name of each column of `x`.
        features: (rows,) of each feature column, before indices became blocks of `x`.
        y: (rows,) labels, 0 or 1.
        times: (rows,) UTC, ascending.
        keys: (rows,) the entity; of several columns, their values joined by a bar.
        encoder: how x came about, and how a request becomes a row of it.
        sources: the Delta version of every table that was read.
        left_out: rows of the spine that found nothing in a table and are not here, by table.
    """

    x: sparse.csr_matrix
    columns: tuple[str, ...]
    features: Columns
    y: npt.NDArray[np.int64]
    times: Times
    keys: npt.NDArray[Any]
    encoder: Encoder
    sources: Versions
    left_out: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.y)

    def rows(self, selected: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> "TrainingFrame":
        return TrainingFrame(
            self.x[selected],
            self.columns,
            {name: values[selected] for name, values in self.features.items()},
            self.y[selected],
            self.times[selected],
            self.keys[selected],
            self.encoder,
            self.sources,
            self.left_out,
        )

    def fingerprint(self) -> str:
        """SHA-256 over keys, times, labels and features: equal if and only if the rows are equal."""
        digest = hashlib.sha256()
        # Of texts, an array of objects would give their addresses.
        keys = self.keys.astype(str) if self.keys.dtype == object else self.keys
        for part in (
            keys,
            self.times.astype("datetime64[us]"),
            self.y,
            self.x.indptr,
            self.x.indices,
            self.x.data,
        ):
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()

    @property
    def first(self) -> datetime:
        return _utc(self.times[0])

    @property
    def last(self) -> datetime:
        return _utc(self.times[-1])


@dataclass(frozen=True)
class Split:
    """A frame cut at one time: what is trained on, and the holdout after it."""

    training: TrainingFrame
    holdout: TrainingFrame


@dataclass(frozen=True)
class Fold:
    """One step of the rolling origin: fit on what came before, validate on what came next."""

    fit: TrainingFrame
    validate: TrainingFrame


def load_frame(
    use_case: UseCase, store: FeatureStore, versions: Versions | None = None, now: datetime | None = None
) -> TrainingFrame:
    """Build the use case's frame, at the newest versions or exactly at `versions`.

    With `now`, every feature table must be as new as its model declares.

    Raises:
        StaleTable: one is older.
        TableNotFound, NoFeatureTable, FeatureNotFound: the store lacks what the use case names.
        FrameRefused: no rows, missing values, or labels that are not 0 and 1.
    """
    labels = use_case.labels
    spine = Spine(labels.table, labels.keys, labels.timestamp, labels.column)
    tables = [store.table(lookup.table, (versions or {}).get(lookup.table)) for lookup in use_case.features]
    if now is not None:
        for table in tables:
            table.require_fresh(now)
    lookups = [
        FeatureLookup(table.name, table.select(lookup.exclude), lookup.lookback_days)
        for table, lookup in zip(tables, use_case.features, strict=True)
    ]
    _require_distinct(use_case.name, lookups)
    spark_frame, sources = store.training_frame(spine, lookups, versions)
    rows = spark_frame.toArrow()
    if rows.num_rows == 0:
        raise FrameRefused.no_rows(spine.table)
    if nameless := {name: rows[name].null_count for name in (*spine.keys, spine.timestamp) if rows[name].null_count}:
        raise FrameRefused.missing(nameless, rows.num_rows)
    rows, left_out = _leave_out(rows, use_case.features, lookups)
    encoder, indices = _encoder(store, tables, lookups, versions)
    features = _columns(rows, encoder.features)
    y, keys = _labels(rows, labels.table, labels.column), _keys(rows, labels.keys)
    times = rows[spine.timestamp].to_numpy().astype("datetime64[us]")
    del rows  # before the matrix is made: both at once would be the most memory of all
    matrix = encoder.matrix(features)
    return TrainingFrame(
        x=matrix.values,
        columns=matrix.columns,
        features=features,
        y=y,
        times=times,
        keys=keys,
        encoder=encoder,
        sources={**sources, **indices},
        left_out=left_out,
    )


def split_by_time(frame: TrainingFrame, holdout: float) -> Split:
    """Cut off the last `holdout` share of the rows. Rows of one time stay on one side.

    Raises:
        FrameRefused: a side has one class only, or all rows are of one time.
    """
    cut = frame.times[int(len(frame) * (1 - holdout))]
    before, after = frame.rows(frame.times < cut), frame.rows(frame.times >= cut)
    for part, name in ((before, "the training part"), (after, "the holdout")):
        _require_both_classes(part, name)
    return Split(before, after)


def rolling_origin(frame: TrainingFrame, folds: int) -> Iterator[Fold]:
    """Folds in order of time; each validates on the block that follows all it was fitted on.

    Raises:
        FrameRefused: a block has one class only.
    """
    edges = [frame.times[len(frame) * i // (folds + 1)] for i in range(1, folds + 1)]
    ends = [*edges[1:], frame.times[-1] + np.timedelta64(1, "us")]
    for number, (start, end) in enumerate(zip(edges, ends, strict=True), start=1):
        past = frame.rows(frame.times < start)
        block = frame.rows((frame.times >= start) & (frame.times < end))
        _require_both_classes(past, f"the past of fold {number}")
        _require_both_classes(block, f"fold {number}")
        yield Fold(past, block)


def _encoder(
    store: FeatureStore, tables: list[FeatureTable], lookups: list[FeatureLookup], versions: Versions | None
) -> tuple[Encoder, Versions]:
    declared = [encoding for table in tables for encoding in table.encodings]
    vocabularies, indices = {}, {}
    for name in index_tables(declared):
        vocabularies[name], indices[name] = store.vocabulary(name, (versions or {}).get(name))
    features = tuple(feature for lookup in lookups for feature in lookup.features)
    needed = [e for e in declared if any(name in features for name in e.encode([], vocabularies))]
    encoded = {name for encoding in needed for name in encoding.encode([], vocabularies)}
    plain: list[Encoding] = [
        Number.model_validate({"column": name, "as": "number", "type": "double"})
        for name in features
        if name not in encoded
    ]
    return Encoder((*needed, *plain), vocabularies, features), indices


def _leave_out(
    rows: pa.Table, wanted: Sequence[Lookup], lookups: Sequence[FeatureLookup]
) -> tuple[pa.Table, dict[str, int]]:
    """The rows that found something in every table that says to leave out the others, and how many did not."""
    kept, left_out = np.ones(rows.num_rows, dtype=np.bool_), {}
    for want, lookup in zip(wanted, lookups, strict=True):
        if want.missing == "leave_out" and lookup.features:
            nothing = np.all([rows[name].is_null().to_numpy() for name in lookup.features], axis=0)
            left_out[lookup.table] = int(nothing.sum())
            kept &= ~nothing
    if not kept.any():
        raise FrameRefused.nothing_found(sorted(left_out))
    return rows if kept.all() else rows.filter(pa.array(kept)), left_out


def _keys(rows: pa.Table, names: Sequence[str]) -> npt.NDArray[Any]:
    if len(names) == 1:
        return np.asarray(rows[names[0]].to_numpy())
    columns = (rows[name].to_pylist() for name in names)
    return np.asarray(["|".join(map(str, key)) for key in zip(*columns, strict=True)])


def _columns(rows: pa.Table, names: tuple[str, ...]) -> dict[str, Values]:
    for name in names:
        kind = rows.schema.field(name).type
        if not any(is_number(kind) for is_number in _NUMBERS):
            raise FrameRefused.no_number(name, str(kind))
    columns = {name: _numbers(rows[name]) for name in names}
    missing = {name: int((~np.isfinite(values)).sum()) for name, values in columns.items()}
    if any(missing.values()):
        raise FrameRefused.missing({name: count for name, count in missing.items() if count}, rows.num_rows)
    return columns


def _numbers(column: pa.ChunkedArray) -> Values:
    """Whole numbers in their own width, a quarter of the memory where they are small; the others as doubles."""
    if pa.types.is_integer(column.type) and not column.null_count:
        return np.asarray(column.to_numpy())
    # NULL becomes NaN, and what is infinite is no value either.
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy())


def _require_distinct(use_case: str, lookups: Sequence[FeatureLookup]) -> None:
    tables: dict[str, list[str]] = {}
    for lookup in lookups:
        for feature in lookup.features:
            tables.setdefault(feature, []).append(lookup.table)
    if not tables:
        raise FrameRefused.no_features(use_case)
    for feature, owners in tables.items():
        if len(owners) > 1:
            raise FrameRefused.named_twice(feature, owners)


def _labels(rows: pa.Table, table: str, column: str) -> npt.NDArray[np.int64]:
    values = sorted(rows[column].unique().to_pylist(), key=str)
    if values != [0, 1]:
        raise FrameRefused.labels(values, f"{table}.{column}")
    return np.asarray(rows[column].to_numpy(), dtype=np.int64)


def _require_both_classes(frame: TrainingFrame, where: str) -> None:
    values = np.unique(frame.y).tolist()
    if values != [0, 1]:
        raise FrameRefused.labels(values, where)


def _utc(time: np.datetime64) -> datetime:
    moment: datetime = time.astype("datetime64[us]").item()
    return moment.replace(tzinfo=UTC)
