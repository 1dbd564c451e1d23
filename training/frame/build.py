"""Builds the training frame from gold tables: a spine with features as of its times."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lakehouse.arrays import Times
from lakehouse.tables.array_columns import numbers_of
from lakehouse.tables.number_columns import number_array
from scoring.encoder import Encoder
from scoring.encodings import Encoding, FeatureColumns, Number, Values, Vocabularies, index_tables
from training.feature_store.joined_rows import JoinedRows, SparkRows
from training.feature_store.store import FeatureReader
from training.feature_store.tables import FeatureLookup, FeatureTable, Spine, Versions
from training.frame import labels
from training.frame.fold_column import fold_values
from training.frame.forecasts import require_forecast_columns
from training.frame.frame import TrainingFrame
from training.frame.keys import entity_keys
from training.frame.on_spark import COLLECTED, OnSpark, columns_on_spark, keep_joined
from training.frame.refusals import FrameRefused
from training.models import FAMILIES
from training.use_case.use_case import LookupDeclaration, UseCase

_NUMBERS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean)


def load_frame(
    use_case: UseCase,
    store: FeatureReader,
    versions: Versions | None = None,
    now: datetime | None = None,
    on_spark: OnSpark = COLLECTED,
) -> TrainingFrame:
    """Build the frame of a use case from the newest versions of its tables, or exactly from `versions`.

    With `now`, the newest row of every feature table must be as recent as its model declares.

    Args:
        on_spark: the part of the frame that stays on Spark.

    Raises:
        StaleTable: the newest row is older.
        TableNotFound, NotAFeatureTable, FeatureNotFound: the store lacks a table or feature of the use case.
        FrameRefused: the frame has no rows, missing values, labels that do not fit the task, or an unusable fold
            column.
        ArrayRefused: a column of several features has no array of them.
    """
    declared = use_case.labels
    spine = Spine(declared.table, declared.keys, declared.timestamp, declared.column, use_case.split.column)
    tables = [store.table(lookup.table, (versions or {}).get(lookup.table)) for lookup in use_case.features]
    if now is not None:
        for table in tables:
            table.require_fresh(now)
    lookups = [
        table.lookup(table.select(lookup.exclude), lookup.lookback_days)
        for table, lookup in zip(tables, use_case.features, strict=True)
    ]
    _require_distinct(use_case.name, lookups)
    joined, sources = store.training_frame(spine, lookups, versions)
    rows: JoinedRows = joined
    keep = on_spark.keep
    encoder, indices = _encoder(store, tables, lookups, versions)
    if keep is not None and encoder.text_features:
        raise FrameRefused.text_on_spark(sorted(encoder.text_features))
    if keep is not None and encoder.vectors:
        raise FrameRefused.arrays_on_spark(sorted(encoder.vectors))
    whole_numbers = not encoder.text_features and not encoder.vectors and not encoder.nullable_features
    if stay := not on_spark.collect and whole_numbers and isinstance(joined, SparkRows):
        rows, keep = joined.of_spine(spine.columns, [lookup.features for lookup in lookups]), keep or keep_joined
    if len(rows) == 0:
        raise FrameRefused.no_rows(spine.table)
    nulls = {name: column.null_count for name, column in rows.columns([*spine.keys, spine.timestamp])}
    if any(nulls.values()):
        raise FrameRefused.missing({name: count for name, count in nulls.items() if count}, len(rows))
    rows, left_out = _leave_out(rows, use_case.features, lookups)
    if encoder.nullable_features and (refusing := _refusing(use_case)):
        raise FrameRefused.missing_numbers(refusing, sorted(encoder.nullable_features))
    features: FeatureColumns = {} if stay else _columns(rows, encoder, lookups)
    encoder = replace(encoder, vocabularies={**encoder.vocabularies, **_learned(encoder, features)})
    of_spine = pa.table(dict(rows.columns(spine.columns)))
    y = labels.label_array(
        of_spine, declared.column, use_case.task, use_case.classes, f"{declared.table}.{declared.column}"
    )
    keys, assigned = entity_keys(of_spine, declared.keys), fold_values(of_spine, use_case.split, declared.table)
    times = of_spine[spine.timestamp].to_numpy().astype("datetime64[us]")
    kept = keep(joined, of_spine.select([*declared.keys, spine.timestamp]), encoder.features) if keep else None
    if stay and kept is not None:
        features = columns_on_spark(joined.to_spark().schema, kept)
        if any((missing := features.missing_counts()).values()):
            raise _missing(missing, rows, lookups)
    del joined, rows, of_spine  # frees memory before the matrix is built: both together would be the peak
    if use_case.forecast is not None:
        require_forecast_columns(use_case.forecast, features)
    matrix = encoder.shape(len(y)) if stay else encoder.matrix(features)
    return TrainingFrame(
        task=use_case.task,
        x=matrix.values,
        columns=matrix.columns,
        features=features,
        y=y,
        times=times,
        keys=keys,
        encoder=encoder,
        sources={**sources, **indices},
        classes=use_case.classes,
        left_out=left_out,
        fold_values=assigned,
        on_spark=kept,
        forecast=use_case.forecast,
    )


@dataclass(frozen=True)
class LookedUp:
    """Features of a spine's rows, and markers of their tables, before any check.

    There is NaN, or None for a text, where there is no value.
    """

    keys: npt.NDArray[Any]
    times: Times
    features: FeatureColumns


def look_up(
    spine: Spine,
    lookups: Sequence[FeatureLookup],
    store: FeatureReader,
    versions: Versions,
    encoder: Encoder,
) -> LookedUp:
    """Look features up for every row of a spine, at versions of the tables, as the encoder reads them.

    Raises:
        TableNotFound, NotAFeatureTable, FeatureNotFound: as `load_frame`.
        FrameRefused: a feature is neither a number nor one of the encoder's texts.
        ArrayRefused: a column of several features has no array of them.
    """
    rows, _ = store.training_frame(spine, lookups, versions)
    of_spine = pa.table(dict(rows.columns(spine.columns)))
    return LookedUp(
        entity_keys(of_spine, spine.keys),
        of_spine[spine.timestamp].to_numpy().astype("datetime64[us]"),
        _read_features(rows, [name for lookup in lookups for name in lookup.columns], encoder),
    )


def _encoder(
    store: FeatureReader, tables: list[FeatureTable], lookups: list[FeatureLookup], versions: Versions | None
) -> tuple[Encoder, Versions]:
    declared = [encoding for table in tables for encoding in table.encodings]
    vocabularies, indices = {}, {}
    for name in index_tables(declared):
        vocabularies[name], indices[name] = store.vocabulary(name, (versions or {}).get(name))
    vectors = {column: features for encoding in declared for column, features in encoding.vectors.items()}
    features = tuple(
        feature for lookup in lookups for column in lookup.features for feature in vectors.get(column, (column,))
    )
    needed = [e for e in declared if any(name in features for name in e.features)]
    encoded = {name for encoding in needed for name in encoding.features}
    plain = [plain_number(name) for name in features if name not in encoded]
    return Encoder((*needed, *plain), vocabularies, features), indices


def plain_number(feature: str) -> Encoding:
    """Encoding of a feature for which its table declares none: the raw column itself, a number."""
    return Number.model_validate({"column": feature, "as": "number", "type": "double"})


def _leave_out(
    rows: JoinedRows, declared: Sequence[LookupDeclaration], lookups: Sequence[FeatureLookup]
) -> tuple[JoinedRows, dict[str, int]]:
    """Rows with features in every table declared `missing: leave_out`, and the number of rows without, by table."""
    kept, left_out = np.ones(len(rows), dtype=np.bool_), {}
    for declaration, lookup in zip(declared, lookups, strict=True):
        if declaration.missing == "leave_out" and lookup.features:
            no_match = rows.unmatched(lookup.telling)
            left_out[lookup.table] = int(no_match.sum())
            kept &= ~no_match
    if not kept.any():
        raise FrameRefused.nothing_found(sorted(left_out))
    return rows if kept.all() else rows.where(kept), left_out


def _learned(encoder: Encoder, features: FeatureColumns) -> Vocabularies:
    """The terms of the texts of all rows. Fitting drops those that are in too few of its own rows."""
    learned: dict[str, Sequence[str]] = {}
    for encoding in encoder.encodings:
        learned |= encoding.vocabularies_of(features)
    return learned


def _columns(rows: JoinedRows, encoder: Encoder, lookups: Sequence[FeatureLookup]) -> dict[str, Values]:
    names = [*encoder.table_columns, *(lookup.marker for lookup in lookups if lookup.marker)]
    columns = _read_features(rows, names, encoder)
    lacking = encoder.lacking(columns, [lookup.columns for lookup in lookups if lookup.features])
    missing = {name: int(mask.sum()) for name, mask in lacking}
    if any(missing.values()):
        raise _missing(missing, rows, lookups)
    return {name: columns[name] for name in encoder.features}


def _refusing(use_case: UseCase) -> list[str]:
    """The families of the search that take no missing values."""
    return [name for name in use_case.search.families if FAMILIES[name].missing_values == "refused"]


def _read_features(rows: JoinedRows, names: Sequence[str], encoder: Encoder) -> dict[str, Values]:
    """(rows,) each feature in these columns of tables; only one column at a time is in memory twice."""
    columns: dict[str, Values] = {}
    for name, values in rows.columns(names):
        if (features := encoder.vectors.get(name)) is not None:
            columns |= dict(zip(features, numbers_of(values, name, len(features)).T, strict=True))
            continue
        if name in encoder.text_features:
            if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
                raise FrameRefused.no_text(name, str(values.type))
            columns[name] = np.asarray(values.to_pandas(), dtype=object)
            continue
        if not any(is_number(values.type) for is_number in _NUMBERS):
            raise FrameRefused.no_number(name, str(values.type))
        columns[name] = number_array(values)
    return columns


def _missing(counts: dict[str, int], rows: JoinedRows, lookups: Sequence[FeatureLookup]) -> FrameRefused:
    """The refusal of missing values, which tells rows without any feature of a table from single values."""
    unmatched = {lookup.table: int(rows.unmatched(lookup.telling).sum()) for lookup in lookups if lookup.features}
    table_of = {name: lookup.table for lookup in lookups for name in lookup.features}
    single = [name for name, count in counts.items() if count > unmatched[table_of[name]]]
    return FrameRefused.missing_features(
        {name: count for name, count in counts.items() if count},
        len(rows),
        {table: count for table, count in unmatched.items() if count},
        single,
    )


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
