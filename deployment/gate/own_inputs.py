"""The inputs of the champion on the rows of the challenger's holdout: a version is judged by its own features.

A feature is read from the versions of the tables that the challenger has pinned. If a table has the feature no longer
there, or encodes it in another way, it is read as the champion was trained: from the version that the champion has
pinned. A row later than the newest row of that version is left out, since its features are not in it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from mlflow.entities.model_registry import ModelVersion
from pyspark.errors import PySparkException

from deployment.gate.holdout import Holdout, provenance_of
from deployment.gate.loaded_version import LoadedVersion
from lakehouse.arrays import Mask
from lakehouse.errors import LakehouseError
from scoring.encoder import Encoder
from scoring.encodings import FeatureColumns
from training.feature_store.store import FeatureReader
from training.feature_store.tables import FeatureLookup, FeatureTable, Spine, Versions
from training.frame.build import look_up, plain_number
from training.registry.frame_declaration import FRAME, with_frame_of
from training.use_case.use_case import LookupDeclaration, UseCase


class NotComparable(LakehouseError):
    """The champion cannot be compared on these rows."""

    @classmethod
    def of(cls, version: ModelVersion, problem: object) -> "NotComparable":
        return cls(f"version {version.version} cannot be compared: {problem}")


@dataclass(frozen=True)
class OwnInputs:
    """Features of a version on the rows of a holdout.

    Attributes:
        features: (rows,) values of each feature.
        complete: (rows,) True where the version has all of them.
    """

    features: FeatureColumns
    complete: Mask

    def complete_rows(self) -> FeatureColumns:
        """Features of the complete rows."""
        return {name: values[self.complete] for name, values in self.features.items()}


def own_inputs(version: LoadedVersion, use_case: UseCase, holdout: Holdout, store: FeatureReader) -> OwnInputs:
    """Build the inputs of the champion.

    Args:
        use_case: use case of the challenger, with the frame that the challenger was trained on.

    Raises:
        NotComparable: The champion predicts something else, or its features can be read for no row.
    """
    rows, predicts = holdout.rows, version.scorer.response_format
    if predicts.task != rows.task:
        raise NotComparable.of(version.version, f"its task is {predicts.task}, and the challenger's {rows.task}")
    if gone := [str(label) for label in predicts.classes if label not in rows.classes]:
        raise NotComparable.of(version.version, f"it predicts labels that no longer exist: {', '.join(gone)}")
    chosen = _sources(version, use_case, rows.sources, store)
    if all(_shared(source, use_case) for source in chosen):
        return OwnInputs(rows.features, np.ones(len(rows), dtype=np.bool_))
    try:
        return _read(version, use_case, holdout, chosen, store)
    except (PySparkException, LakehouseError) as err:
        problem = err.failed if isinstance(err, LakehouseError) else str(err).partition("\n")[0]
        raise NotComparable.of(version.version, problem) from err


@dataclass(frozen=True)
class _Source:
    """Features of one table, and the Delta version to read them from.

    Attributes:
        current: True for the version that the challenger has pinned, or the newest of a table that it does not read.
    """

    table: FeatureTable
    lookup: FeatureLookup
    current: bool


def _sources(version: LoadedVersion, use_case: UseCase, pinned: Versions, store: FeatureReader) -> list[_Source]:
    encoder = version.scorer.encoder
    own = provenance_of(version.version).sources
    remaining, chosen = list(encoder.table_columns), list[_Source]()
    for declared in _declared(version, use_case, own):
        candidates = list(_candidates(declared, pinned, own, store))
        names = [name for name in _names(candidates[-1:], declared) if name in remaining]
        for source, current in candidates:
            if names and _offers(source, names, encoder, pinned if current else own, store):
                chosen.append(_Source(source, source.lookup(names, declared.lookback_days), current))
                remaining = [name for name in remaining if name not in names]
                break
    if remaining:
        raise NotComparable.of(version.version, f"no table has its features {', '.join(remaining)} as it read them")
    return chosen


def _declared(version: LoadedVersion, use_case: UseCase, own: Versions) -> list[LookupDeclaration]:
    """Feature tables of the version; a version of an earlier release names only the tables that it read."""
    declared = with_frame_of(use_case, version.metadata).features
    if FRAME in version.metadata:
        return list(declared)
    # What it excluded is unknown; the use case decides only if it would be read from two tables.
    doubtful = {name for lookup in declared for name in lookup.exclude} & set(version.scorer.encoder.table_columns)
    tables = {lookup.table: lookup.model_copy(update={"exclude": ()}) for lookup in declared}
    tables |= {name: LookupDeclaration(table=name) for name in own if name not in tables}
    excluding = {lookup.table for lookup in declared if doubtful & set(lookup.exclude)}
    return sorted(tables.values(), key=lambda lookup: lookup.table in excluding)


def _candidates(
    declared: LookupDeclaration, pinned: Versions, own: Versions, store: FeatureReader
) -> Iterator[tuple[FeatureTable, bool]]:
    """The table as the challenger has pinned it, then as the version has; True for the first."""
    if declared.table not in own:
        return
    versions = {(pinned.get(declared.table), True), (own[declared.table], False)}
    for number, current in sorted(versions, key=lambda each: not each[1]):
        try:
            yield store.table(declared.table, number), current
        except (LakehouseError, PySparkException):  # gone, or no feature table: no source of features
            continue


def _names(candidates: Sequence[tuple[FeatureTable, bool]], declared: LookupDeclaration) -> list[str]:
    """Features of the table as the version read it."""
    return [
        feature.name for table, _ in candidates for feature in table.features if feature.name not in declared.exclude
    ]


def _offers(
    table: FeatureTable, names: Sequence[str], encoder: Encoder, versions: Versions, store: FeatureReader
) -> bool:
    """True if the table has these features, encoded as the version expects them."""
    expected, encoded = (
        {name: e for e in each for name in e.table_columns} for each in (encoder.encodings, table.encodings)
    )
    for name in names:
        if name not in {feature.name for feature in table.features}:
            return False
        encoding = encoded.get(name, plain_number(name))
        if encoding != expected.get(name):
            return False
        if (index := encoding.index_table) is not None:
            learned = list(encoder.vocabularies[index])
            try:
                categories, _ = store.vocabulary(index, versions.get(index))
            except (LakehouseError, PySparkException):
                return False
            if list(categories[: len(learned)]) != learned:
                return False
    return True


def _shared(source: _Source, use_case: UseCase) -> bool:
    """True if the frame of the challenger already has these features."""
    return source.current and any(
        (lookup.table, lookup.lookback_days) == (source.lookup.table, source.lookup.lookback_days)
        and not set(lookup.exclude) & set(source.lookup.features)
        for lookup in use_case.features
    )


def _read(
    version: LoadedVersion, use_case: UseCase, holdout: Holdout, chosen: Sequence[_Source], store: FeatureReader
) -> OwnInputs:
    labels, rows = use_case.labels, holdout.rows
    spine = Spine(labels.table, labels.keys, labels.timestamp, None)
    versions = {labels.table: rows.sources[labels.table]} | {each.table.name: each.table.version for each in chosen}
    found = look_up(spine, [source.lookup for source in chosen], store, versions, version.scorer.encoder)
    known = pd.MultiIndex.from_arrays([found.keys, found.times])
    first = ~known.duplicated()
    places = known[first].get_indexer(pd.MultiIndex.from_arrays([rows.keys, rows.times]))
    features = {name: np.where(places < 0, np.nan, values[first][places]) for name, values in found.features.items()}
    encoder = version.scorer.encoder
    lacking = encoder.lacking(features, [source.lookup.columns for source in chosen])
    complete: Mask = ~np.any([mask for _, mask in lacking], axis=0)
    features = {name: features[name] for name in encoder.features}
    for source in chosen:
        if not source.current:
            complete &= rows.times <= _newest(source.table, store)
    if not complete.any():
        tables = ", ".join(f"{each.table.name} v{each.table.version}" for each in chosen)
        raise NotComparable.of(version.version, f"{tables} have its features for none of the {len(rows)} rows")
    return OwnInputs(features, complete)


def _newest(table: FeatureTable, store: FeatureReader) -> np.datetime64:
    spine = Spine(table.name, (), table.timestamp, None)
    rows, _ = store.training_frame(spine, (), {table.name: table.version})
    ((_, times),) = rows.columns([table.timestamp])
    known = times.drop_null().to_numpy().astype("datetime64[us]")
    return known.max() if len(known) else np.datetime64("NaT")
