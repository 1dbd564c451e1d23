"""The winner as a registered version: files, tags, alias, and a description in words."""

import json
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types import ColSpec, DataType, Schema, TensorSpec

from lakehouse.errors import LakehouseError
from training.dataset import TrainingFrame
from training.encoding import Cohort, Encoding, Flag, Number
from training.hooks.fields import Kind
from training.models import FAMILIES
from training.scoring import Scorer
from training.search.trial import Trial
from training.use_case import UseCase

PACKAGE = Path(__file__).resolve().parent
CHALLENGER, CHAMPION = "challenger", "champion"

_ANSWERED: Mapping[Kind, DataType] = {
    "boolean": DataType.boolean,
    "integer": DataType.long,
    "number": DataType.double,
    "text": DataType.string,
}
# Which of its fields may be missing only the hook knows. Whole numbers are sent as doubles: see `_column`.
_SENT: Mapping[Kind, DataType] = {**_ANSWERED, "integer": DataType.double}

# What loading a version imports; pinned to what trained it.
REQUIREMENTS = ("mlflow", "numpy", "pandas", "pydantic", "scikit-learn", "scipy", "skops")


class NoProvenance(LakehouseError):
    """A version does not say which data it was trained on."""


@dataclass(frozen=True)
class Provenance:
    """Which data a version was trained on, and which it must be judged on.

    Attributes:
        sources: the Delta version of every table that was read.
        rows: rows trained on.
        first, last: their times.
        holdout_from: where the holdout begins.
        holdout_rows: how many rows it has.
        holdout_fingerprint: SHA-256 of them.
        new_rows: rows that came after the last row of the version before; None for a first version.
    """

    sources: Mapping[str, int]
    rows: int
    first: datetime
    last: datetime
    holdout_from: datetime
    holdout_rows: int
    holdout_fingerprint: str
    new_rows: int | None

    def tags(self) -> dict[str, str]:
        return {
            "data.sources": json.dumps(dict(sorted(self.sources.items()))),
            "data.rows": str(self.rows),
            "data.first": self.first.isoformat(),
            "data.last": self.last.isoformat(),
            "data.new_rows": "" if self.new_rows is None else str(self.new_rows),
            "holdout.from": self.holdout_from.isoformat(),
            "holdout.rows": str(self.holdout_rows),
            "holdout.fingerprint": self.holdout_fingerprint,
        }

    @classmethod
    def of_tags(cls, tags: Mapping[str, str]) -> "Provenance":
        """Read what `tags` wrote.

        Raises:
            NoProvenance: somebody else registered the version.
        """
        if missing := sorted({"data.sources", "data.last", "holdout.from", "holdout.fingerprint"} - set(tags)):
            raise NoProvenance(f"it lacks the tags {', '.join(missing)}")
        return cls(
            sources=json.loads(tags["data.sources"]),
            rows=int(tags["data.rows"]),
            first=datetime.fromisoformat(tags["data.first"]),
            last=datetime.fromisoformat(tags["data.last"]),
            holdout_from=datetime.fromisoformat(tags["holdout.from"]),
            holdout_rows=int(tags["holdout.rows"]),
            holdout_fingerprint=tags["holdout.fingerprint"],
            new_rows=int(tags["data.new_rows"]) if tags["data.new_rows"] else None,
        )


def provenance(training: TrainingFrame, holdout: TrainingFrame, before: ModelVersion | None) -> Provenance:
    """What the two frames and the version before say about the data."""
    new_rows = None
    if before is not None and "data.last" in before.tags:
        last = Provenance.of_tags(before.tags).last.replace(tzinfo=None)
        new_rows = int((training.times.astype("datetime64[us]").astype(object) > last).sum())
    return Provenance(
        sources=training.sources,
        rows=len(training),
        first=training.first,
        last=training.last,
        holdout_from=holdout.first,
        holdout_rows=len(holdout),
        holdout_fingerprint=holdout.fingerprint(),
        new_rows=new_rows,
    )


def newest_version(client: MlflowClient, name: str) -> ModelVersion | None:
    """The last registered version, or None."""
    versions = client.search_model_versions(f"name = '{name}'")
    return max(versions, key=lambda version: int(version.version), default=None)


def version_of(client: MlflowClient, name: str, alias: str) -> ModelVersion | None:
    """The version that carries the alias, or None."""
    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException as err:
        if err.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return None
        raise


def register(run: Run, use_case: UseCase, scorer: Scorer, winner: Trial, data: Provenance) -> ModelVersion:
    """Log the scorer to `run`, which must be the active one, and register it as the challenger.

    The alias comes last: a version that was not written whole is never the challenger.
    """
    golden = {"golden_request": use_case.golden_request, "golden_answer": scorer.answer([use_case.golden_request])[0]}
    client = MlflowClient()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # An example would make MLflow load and run the model once more, for seconds; the golden request serves.
        warnings.filterwarnings("ignore", message=".*An input example was not provided", category=UserWarning)
        logged = mlflow.pyfunc.log_model(
            name=use_case.name,
            python_model=str(PACKAGE / "served_model.py"),
            artifacts=scorer.save(Path(folder)),
            code_paths=[str(PACKAGE), str(PACKAGE.parent / "lakehouse")],
            signature=signature(scorer),
            pip_requirements=[f"{package}=={installed(package)}" for package in REQUIREMENTS],
            metadata=golden,
        )
    if not client.search_registered_models(f"name = '{use_case.name}'"):
        client.create_registered_model(use_case.name)
    version = client.create_model_version(
        use_case.name,
        source=logged.model_uri,
        run_id=run.info.run_id,
        description=describe(winner, use_case, data),
        tags={"stage": "Development", "family": winner.candidate.family, **data.tags()},
    )
    client.set_registered_model_alias(use_case.name, CHALLENGER, version.version)
    return version


def describe(winner: Trial, use_case: UseCase, data: Provenance) -> str:
    """The version in words: which hyperparameters, how good, and which new data."""
    params = ", ".join(f"{name.replace('_', ' ')} {_shown(value)}" for name, value in winner.candidate.params.items())
    tables = ", ".join(f"{table} (version {version})" for table, version in sorted(data.sources.items()))
    new = "the first version" if data.new_rows is None else f"{data.new_rows:,} rows newer than the version before"
    return (
        f"{FAMILIES[winner.candidate.family].title.capitalize()} with {params}. "
        f"{use_case.search.metric} {winner.metrics[use_case.search.metric]:.4f} "
        f"as the mean of {len(winner.per_fold)} folds in order of time, "
        f"the best of {use_case.search.max_evals} trials. "
        f"Trained on {data.rows:,} rows from {data.first:%Y-%m-%d} to {data.last:%Y-%m-%d} ({new}). "
        f"Read from {tables}."
    )


def signature(scorer: Scorer) -> ModelSignature:
    """The fields that a caller sends, and those of an answer; where there are hooks, outside of them."""
    takes = scorer.hooks.takes
    # A cohort takes what the number of the same column takes.
    raw = [encoding for encoding in scorer.encoder.encodings if not isinstance(encoding, Cohort)]
    inputs: list[ColSpec | TensorSpec] = [ColSpec(_SENT[kind], name, required=False) for name, kind in takes.items()]
    inputs = inputs or [_column(encoding) for encoding in raw]
    outputs: list[ColSpec | TensorSpec] = [ColSpec(_ANSWERED[kind], name) for name, kind in scorer.fields().items()]
    return ModelSignature(Schema(inputs), Schema(outputs))


def _column(encoding: Encoding) -> ColSpec:
    if isinstance(encoding, Number):
        # A double even where only whole numbers are taken: pandas has no other column with missing values.
        return ColSpec(DataType.double, encoding.column, required=encoding.impute is None)
    if isinstance(encoding, Flag):
        return ColSpec(DataType.boolean, encoding.column, required=True)
    return ColSpec(DataType.string, encoding.column, required=False)


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
