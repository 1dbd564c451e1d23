"""Predictions of a version for the rows of a table, written to a new table."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)

from lakehouse import console
from lakehouse.errors import LakehouseError, nearest
from lakehouse.tables.column_names import column_names
from scoring.batch import REASON_COLUMN, PackedScorer, score_features, score_records
from scoring.pyfunc import ScoringModel
from scoring.scorer import Scorer
from training.feature_store.store import FeatureStore
from training.feature_store.tables import FeatureLookup, Spine
from training.registry.frame_declaration import with_frame_of
from training.registry.versions import CHAMPION, version_of, versions_of
from training.use_case.use_case import UseCase

VERSION, SCORED_AT = "model_version", "scored_at"


class ScoreRefused(LakehouseError):
    """There is no version to score with, or the tables cannot be scored."""

    @classmethod
    def no_champion(cls, name: str) -> "ScoreRefused":
        hint = f"Promote one: python -m deployment.run promote --use-case {name}. Or score with --version challenger"
        return cls(f"{name} has no champion", hint=hint)

    @classmethod
    def no_version(cls, name: str, requested: str, known: Sequence[str]) -> "ScoreRefused":
        return cls(
            f"{name} has no version '{requested}'. {nearest(requested, list(known))}",
            hint=f"Train one: python -m training.run --use-case {name}",
        )

    @classmethod
    def no_scorer(cls, version: str, model: object) -> "ScoreRefused":
        return cls(
            f"version {version} is a {type(model).__name__} and not a scoring model of this project",
            hint="Choose another one with --version.",
        )

    @classmethod
    def columns(cls, table: str, missing: Sequence[str], keys: Sequence[str]) -> "ScoreRefused":
        return cls(
            f"{table} lacks {', '.join(missing)}",
            hint="An input needs the columns of a request and at least one key, or only the keys and time "
            f"({', '.join(keys)}) to look features up.",
        )

    @classmethod
    def no_key(cls, table: str, keys: Sequence[str]) -> "ScoreRefused":
        return cls(
            f"{table} has none of the columns {', '.join(keys)}, which identify the rows of the output",
            hint="Add one of them to the table.",
        )

    @classmethod
    def no_feature(cls, features: Sequence[str]) -> "ScoreRefused":
        return cls(
            f"the feature tables of the use case lack features of the version: {', '.join(features)}",
            hint="Train a version on the current tables, or score a table of raw records.",
        )

    @classmethod
    def names(cls, table: str, duplicates: Sequence[str], invalid: Sequence[str]) -> "ScoreRefused":
        problems = [f"two columns would be named {name}" for name in duplicates]
        problems += [f"'{name}' is not a valid column name" for name in invalid]
        return cls(
            f"{table} cannot be written: {'; '.join(problems)}", hint="Rename the fields of the response in a hook."
        )

    @classmethod
    def by_the_engine(cls, table: str, reason: Exception) -> "ScoreRefused":
        return cls(
            f"{table} was not written: {reason}", hint="No table is left. Fix the cause and run the command again."
        )


@dataclass(frozen=True)
class ScoringVersion:
    """A loaded version.

    Attributes:
        metadata: metadata registered with it, such as its labels and feature tables.
    """

    number: int
    scorer: Scorer
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, registered: ModelVersion) -> Self:
        """Load the version from the registry.

        Raises:
            ScoreRefused: the version is not a scoring model of this project.
        """
        name, number = registered.name, registered.version
        loaded = mlflow.pyfunc.load_model(f"models:/{name}/{number}")
        model = loaded.unwrap_python_model()
        if not isinstance(model, ScoringModel):
            raise ScoreRefused.no_scorer(str(number), model)
        return cls(int(number), model.scorer, loaded.metadata.metadata or {})


def score(use_case: UseCase, version: ScoringVersion, store: FeatureStore, source: str, target: str) -> None:
    """Write the predictions of the version for each row of `source` to the new table `target`.

    Features are looked up as the version was trained: the use case may have changed since.

    Raises:
        TableNotFound: `source` does not exist.
        TableExists: `target` exists.
        ScoreRefused: `source` has neither records nor keys and times, or the predictions cannot be a table.
    """
    with TemporaryDirectory(prefix="score-") as folder, _translated(target):
        packed = PackedScorer.pack(Path(folder), version.scorer)
        use_case = with_frame_of(use_case, version.metadata)
        rows = predictions(use_case, version.scorer, store, source, packed)
        _require_columns(target, [*rows.columns, VERSION, SCORED_AT])
        for name, column in column_names(version.scorer.fields()).items():
            if name != column:
                console.detail(f"the field '{name}' of a response is the column {column}")
        stamped = rows.withColumn(VERSION, F.lit(version.number))
        store.create(target, stamped.withColumn(SCORED_AT, F.lit(datetime.now(UTC)).cast("timestamp")))


def predictions(
    use_case: UseCase, scorer: Scorer, store: FeatureStore, source: str, packed: PackedScorer
) -> DataFrame:
    """The keys of each row with its prediction, or the reason for its rejection; evaluated when written.

    Raises:
        TableNotFound, ScoreRefused, FeatureNotFound, StaleTable: as `score`, and as a training frame.
    """
    rows, labels = store.rows(source), use_case.labels
    keys = tuple(dict.fromkeys((*labels.keys, labels.timestamp)))
    sent = tuple(
        scorer.hooks.request_fields or dict.fromkeys(encoding.column for encoding in scorer.encoder.encodings)
    )
    missing = [name for name in sent if name not in rows.columns]
    if not missing:
        kept = [name for name in keys if name in rows.columns]
        if not kept:
            raise ScoreRefused.no_key(source, keys)
        return score_records(rows, kept, sent, packed)
    # Some request columns without the others: an incomplete table of records, not a spine.
    if not set(keys) <= set(rows.columns) or set(sent) - set(keys) - set(missing):
        raise ScoreRefused.columns(source, missing, keys)
    spine = Spine(source, labels.keys, labels.timestamp, None)
    lookups = _lookups(use_case, scorer, store)
    frame, versions = store.training_frame(spine, lookups)
    console.detail("features from " + ", ".join(f"{table} v{number}" for table, number in sorted(versions.items())))
    return score_features(frame.to_spark(), keys, {lookup.table: lookup.columns for lookup in lookups}, packed)


def find_version(client: MlflowClient, name: str, requested: str | None) -> ModelVersion:
    """The version with a number or an alias; the champion if none is requested.

    Raises:
        ScoreRefused: there is no such version.
    """
    if requested is None:
        champion = version_of(client, name, CHAMPION)
        if champion is None:
            raise ScoreRefused.no_champion(name)
        return champion
    versions = versions_of(client, name)
    found = next((version for version in versions if str(version.version) == requested), None)
    found = found or (None if requested.isdigit() else version_of(client, name, requested))
    if found is None:
        raise ScoreRefused.no_version(name, requested, [str(version.version) for version in versions])
    return found


def counts(scored: DataFrame) -> Mapping[str | None, int]:
    """Number of rows with a prediction (None), and of rejected rows by reason, the most frequent first."""
    rows = scored.groupBy(REASON_COLUMN).count().collect()
    return {
        row[REASON_COLUMN]: row["count"]
        for row in sorted(rows, key=lambda row: (-row["count"], row[REASON_COLUMN] or ""))
    }


def _lookups(use_case: UseCase, scorer: Scorer, store: FeatureStore) -> list[FeatureLookup]:
    """Lookups of the version's features in the current tables of the use case."""
    missing, lookups = set(scorer.encoder.table_columns), list[FeatureLookup]()
    for lookup in use_case.features:
        table = store.table(lookup.table)
        table.require_fresh(datetime.now(UTC))
        features = tuple(name for name in table.select(()) if name in missing and name not in lookup.exclude)
        if features:
            lookups.append(table.lookup(features, lookup.lookback_days))
        missing -= set(features)
    if missing:
        raise ScoreRefused.no_feature(sorted(missing))
    return lookups


def _require_columns(table: str, names: Sequence[str]) -> None:
    lower = [name.lower() for name in names]  # Delta compares names without regard to case
    duplicates = sorted({name for name in names if lower.count(name.lower()) > 1})
    invalid = [name for name in names if re.search(r"[ ,;{}()\n\t=]", name)]  # characters that Delta refuses
    if duplicates or invalid:
        raise ScoreRefused.names(table, duplicates, invalid)


@contextmanager
def _translated(table: str) -> Iterator[None]:
    try:
        yield
    except PySparkException as err:
        last: Any = str(err).strip().splitlines()[-1:]
        raise ScoreRefused.by_the_engine(table, Exception(*last)) from err
