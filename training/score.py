"""`python -m training.score --use-case NAME --input TABLE --output TABLE`: a table of answers like the endpoint's."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import click
import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)

from lakehouse import console
from lakehouse.errors import LakehouseError, nearest
from lakehouse.settings import Settings
from scoring.batch import REASON, Packed, answered_features, answered_records
from scoring.pyfunc import ScoringModel
from scoring.scorer import Scorer
from training.feature_store import FeatureLookup, FeatureStore, Spine
from training.feature_store.home import open_store
from training.registry.versions import CHAMPION, version_of, versions_of
from training.tracking import tracking
from training.use_case.use_case import UseCase, load

VERSION, SCORED_AT = "model_version", "scored_at"
SHOWN = 5


class ScoreRefused(LakehouseError):
    """There is nothing that could answer, or nothing that it could answer to."""

    @classmethod
    def no_champion(cls, name: str) -> "ScoreRefused":
        hint = f"Promote one: python -m deployment.run promote --use-case {name}. Or name one: --version challenger"
        return cls(f"{name} has no champion", hint=hint)

    @classmethod
    def no_version(cls, name: str, said: str, known: Sequence[str]) -> "ScoreRefused":
        return cls(
            f"{name} has no version '{said}'. {nearest(said, list(known))}",
            hint=f"Train one: python -m training.run --use-case {name}",
        )

    @classmethod
    def no_scorer(cls, version: str, found: object) -> "ScoreRefused":
        return cls(
            f"version {version} is a {type(found).__name__} and no scoring model of this project",
            hint="Name another with --version.",
        )

    @classmethod
    def columns(cls, table: str, missing: Sequence[str], keys: Sequence[str]) -> "ScoreRefused":
        return cls(
            f"{table} lacks {', '.join(missing)}",
            hint="An input has the columns of a request and of the keys, or the keys and times alone "
            f"({', '.join(keys)}), by which features are looked up.",
        )

    @classmethod
    def no_key(cls, table: str, keys: Sequence[str]) -> "ScoreRefused":
        return cls(
            f"{table} has none of the columns {', '.join(keys)}: nobody could tell whose an answer is",
            hint="Add one of them to the table.",
        )

    @classmethod
    def no_feature(cls, features: Sequence[str]) -> "ScoreRefused":
        return cls(
            f"the feature tables of the use case lack what the version reads: {', '.join(features)}",
            hint="Train a version on the tables as they are, or score a table of raw records.",
        )

    @classmethod
    def names(cls, table: str, twice: Sequence[str], odd: Sequence[str]) -> "ScoreRefused":
        problems = [f"{name} would stand in it twice" for name in twice]
        problems += [f"'{name}' is no name of a column" for name in odd]
        return cls(
            f"{table} cannot be written: {'; '.join(problems)}", hint="Rename the fields of the answer in a hook."
        )

    @classmethod
    def by_the_engine(cls, table: str, reason: Exception) -> "ScoreRefused":
        return cls(
            f"{table} was not written: {reason}", hint="Nothing of it was kept. Mend the cause, and run it again."
        )


@dataclass(frozen=True)
class ScoringVersion:
    """A registered version, ready to answer."""

    number: int
    scorer: Scorer

    @classmethod
    def of(cls, registered: ModelVersion) -> Self:
        """Read it from the registry.

        Raises:
            ScoreRefused: it is a model of another kind.
        """
        name, number = registered.name, registered.version
        model = mlflow.pyfunc.load_model(f"models:/{name}/{number}").unwrap_python_model()
        if not isinstance(model, ScoringModel):
            raise ScoreRefused.no_scorer(str(number), model)
        return cls(int(number), model.scorer)


def score(use_case: UseCase, version: ScoringVersion, store: FeatureStore, source: str, target: str) -> None:
    """Write what the version answers to each row of `source` into the new table `target`.

    Raises:
        TableNotFound: there is no `source`.
        TableTaken: there is a `target`.
        ScoreRefused: `source` is neither a table of records nor of keys and times, or the answers make no table.
    """
    with TemporaryDirectory(prefix="score-") as folder, _told(target):
        packed = Packed.into(Path(folder), version.scorer)
        answers = answered(use_case, version.scorer, store, source, packed)
        _require_columns(target, [*answers.columns, VERSION, SCORED_AT])
        stamped = answers.withColumn(VERSION, F.lit(version.number))
        store.create(target, stamped.withColumn(SCORED_AT, F.lit(datetime.now(UTC)).cast("timestamp")))


def answered(use_case: UseCase, scorer: Scorer, store: FeatureStore, source: str, packed: Packed) -> DataFrame:
    """The keys of each row with the answer to it, or why there is none; nothing runs before it is written.

    Raises:
        TableNotFound, ScoreRefused, FeatureNotFound, StaleTable: as `score`, and as a training frame.
    """
    rows, labels = store.rows(source), use_case.labels
    keys = tuple(dict.fromkeys((*labels.keys, labels.timestamp)))
    sent = tuple(scorer.hooks.takes or dict.fromkeys(encoding.column for encoding in scorer.encoder.encodings))
    missing = [name for name in sent if name not in rows.columns]
    if not missing:
        kept = [name for name in keys if name in rows.columns]
        if not kept:
            raise ScoreRefused.no_key(source, keys)
        return answered_records(rows, kept, sent, packed)
    # Some of them: a table of records that is not whole, and not meant as a spine.
    if not set(keys) <= set(rows.columns) or set(sent) - set(keys) - set(missing):
        raise ScoreRefused.columns(source, missing, keys)
    spine = Spine(source, labels.keys, labels.timestamp, None)
    lookups = _lookups(use_case, scorer, store)
    frame, versions = store.training_frame(spine, lookups)
    console.detail("features from " + ", ".join(f"{table} v{number}" for table, number in sorted(versions.items())))
    return answered_features(frame, keys, {lookup.table: lookup.features for lookup in lookups}, packed)


def find_version(client: MlflowClient, name: str, said: str | None) -> ModelVersion:
    """The version of a number or an alias; of nothing said, the champion.

    Raises:
        ScoreRefused: there is none.
    """
    if said is None:
        champion = version_of(client, name, CHAMPION)
        if champion is None:
            raise ScoreRefused.no_champion(name)
        return champion
    versions = versions_of(client, name)
    found = next((version for version in versions if str(version.version) == said), None)
    found = found or (None if said.isdigit() else version_of(client, name, said))
    if found is None:
        raise ScoreRefused.no_version(name, said, [str(version.version) for version in versions])
    return found


def counts(answers: DataFrame) -> Mapping[str | None, int]:
    """How many rows have an answer (None), and how many lack one for each reason, the most frequent first."""
    rows = answers.groupBy(REASON).count().collect()
    return {row[REASON]: row["count"] for row in sorted(rows, key=lambda row: (-row["count"], row[REASON] or ""))}


def _lookups(use_case: UseCase, scorer: Scorer, store: FeatureStore) -> list[FeatureLookup]:
    """What the version reads, from the tables of the use case as they are now."""
    wanted, lookups = set(scorer.encoder.features), list[FeatureLookup]()
    for lookup in use_case.features:
        table = store.table(lookup.table)
        table.require_fresh(datetime.now(UTC))
        features = tuple(name for name in table.select(()) if name in wanted and name not in lookup.exclude)
        if features:
            lookups.append(FeatureLookup(table.name, features, lookup.lookback_days))
        wanted -= set(features)
    if wanted:
        raise ScoreRefused.no_feature(sorted(wanted))
    return lookups


def _require_columns(table: str, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    odd = [name for name in names if re.search(r"[ ,;{}()\n\t=]", name)]  # Delta takes none of them
    if twice or odd:
        raise ScoreRefused.names(table, twice, odd)


@contextmanager
def _told(table: str) -> Iterator[None]:
    try:
        yield
    except PySparkException as err:
        last: Any = str(err).strip().splitlines()[-1:]
        raise ScoreRefused.by_the_engine(table, Exception(*last)) from err


def _report(found: Mapping[str | None, int], target: str) -> None:
    refused = {reason: count for reason, count in found.items() if reason is not None}
    console.detail(f"{found.get(None, 0):,} rows of {target} have an answer, {sum(refused.values()):,} have none")
    for reason, count in list(refused.items())[:SHOWN]:
        console.detail(f"{count:>9,} {reason}")
    if len(refused) > SHOWN:
        console.detail(f"          and {len(refused) - SHOWN:,} other reasons: the column {REASON} has them")


@click.command()
@click.option("--use-case", "name", required=True, help="A file in training/use_cases, without its ending.")
@click.option("--input", "source", required=True, help="schema.table: records as the endpoint takes them, or keys.")
@click.option("--output", "target", required=True, help="schema.table, which is made.")
@click.option("--version", "said", metavar="N|ALIAS", help="The version that answers; else the champion.")
def main(name: str, source: str, target: str, said: str | None) -> None:
    """Write a version's answers to the rows of a table into a new table."""
    use_case, settings = load(name), Settings.from_environment()
    with tracking(settings) as client:
        version = find_version(client, name, said)
        store = open_store(settings)
        console.stage(f"Scoring {source} with version {version.version} of {name}")
        score(use_case, ScoringVersion.of(version), store, source, target)
    _report(counts(store.rows(target)), target)


if __name__ == "__main__":
    console.run_command(main)
