"""Tables that a run read, logged as MLflow datasets, so that its frame can be rebuilt."""

import json
from collections.abc import Mapping
from typing import Any

import mlflow
from mlflow.data.dataset import Dataset
from mlflow.data.delta_dataset_source import DeltaDatasetSource
from mlflow.tracking import MlflowClient
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import AnyType

from lakehouse.errors import LakehouseError
from training.feature_store.store import FeatureReader
from training.feature_store.tables import Snapshot, Versions
from training.frame.build import load_frame
from training.frame.frame import TrainingFrame
from training.frame.splits import Split
from training.use_case.use_case import UseCase

TABLE, VERSION = "table", "delta_version"  # tags of an input: a DeltaDatasetSource drops version 0
_DIGEST_LENGTH = 36  # characters that MLflow keeps

_TYPES: Mapping[str, DataType] = {
    "boolean": DataType.boolean,
    "tinyint": DataType.integer,
    "smallint": DataType.integer,
    "int": DataType.integer,
    "bigint": DataType.long,
    "float": DataType.float,
    "double": DataType.double,
    "string": DataType.string,
    "binary": DataType.binary,
    "date": DataType.datetime,
    "timestamp": DataType.datetime,
    "timestamp_ntz": DataType.datetime,
}

_ANY = AnyType()  # type: ignore[no-untyped-call]


class NoLineage(LakehouseError):
    """A run has no tables among its inputs."""

    @classmethod
    def of_run(cls, run_id: str) -> "NoLineage":
        return cls(
            f"the run {run_id} has no tables among its inputs",
            hint="Use the run of a registered version: train one by python -m training.run --use-case NAME",
        )


class TableRebuilt(LakehouseError):
    """A table was dropped and created again, so that its versions are other rows."""

    @classmethod
    def named(cls, name: str, version: int) -> "TableRebuilt":
        return cls(
            f"{name} was dropped and created again: its version {version} is not the one that the run read",
            hint="The rows of the run no longer exist. Train again: python -m training.run --use-case NAME",
        )


class TableInput(Dataset):
    """A Delta table at one version."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        super().__init__(_source(snapshot), snapshot.name)

    def _compute_digest(self) -> str:
        return f"{self._snapshot.table_id[:8]}-v{self._snapshot.version}"

    @property
    def schema(self) -> Schema:
        return Schema(
            [ColSpec(_TYPES.get(data_type, _ANY), name) for name, data_type in self._snapshot.columns.items()]
        )

    @property
    def profile(self) -> dict[str, Any]:
        return {"rows": self._snapshot.rows, "delta_version": self._snapshot.version}

    def to_dict(self) -> dict[str, str]:
        return _with_schema(super().to_dict(), self.schema, self.profile)


class FrameInput(Dataset):
    """One part of the frame: the training rows, or the holdout."""

    def __init__(self, name: str, frame: TrainingFrame, spine: Snapshot) -> None:
        self._frame = frame
        self._fingerprint = frame.fingerprint()
        super().__init__(_source(spine), name)

    def _compute_digest(self) -> str:
        return self._fingerprint[:_DIGEST_LENGTH]

    @property
    def schema(self) -> Schema:
        encoder = self._frame.encoder
        return Schema(
            [
                ColSpec(DataType.string if feature in encoder.text_features else DataType.double, feature)
                for feature in encoder.features
            ]
        )

    @property
    def profile(self) -> dict[str, Any]:
        return {
            "rows": len(self._frame),
            "first": self._frame.first.isoformat(),
            "last": self._frame.last.isoformat(),
            "fingerprint": self._fingerprint,
        }

    def to_dict(self) -> dict[str, str]:
        return _with_schema(super().to_dict(), self.schema, self.profile)


def log_inputs(use_case: UseCase, store: FeatureReader, data: Split) -> None:
    """Log every table of the frame, and both of its parts, as inputs of the active run."""
    tables = {name: store.snapshot(name, version) for name, version in sorted(data.training.sources.items())}
    spine = tables[use_case.labels.table]
    parts = {"training": data.training, "holdout": data.holdout}
    mlflow.log_inputs(
        datasets=[
            *(TableInput(table) for table in tables.values()),
            *(FrameInput(f"{use_case.name}.{part}", frame, spine) for part, frame in parts.items()),
        ],
        contexts=[*("training" for _ in tables), *parts],
        tags_list=[*({TABLE: table.name, VERSION: str(table.version)} for table in tables.values()), None, None],
    )


def logged_versions(client: MlflowClient, run_id: str) -> Versions:
    """The Delta version of every table that the run read.

    Raises:
        NoLineage: the run has no tables among its inputs.
    """
    return {name: version for name, (version, _) in _logged(client, run_id).items()}


def rebuild(use_case: UseCase, store: FeatureReader, client: MlflowClient, run_id: str) -> TrainingFrame:
    """Rebuild the frame of a run, including the holdout, from the inputs that MLflow logged.

    Raises:
        NoLineage: the run has no tables among its inputs.
        TableRebuilt: a table was dropped and created again.
        TableNotFound: a version no longer exists.
    """
    logged = _logged(client, run_id)
    for name, (version, digest) in logged.items():
        if TableInput(store.snapshot(name, version)).digest != digest:
            raise TableRebuilt.named(name, version)
    return load_frame(use_case, store, {name: version for name, (version, _) in logged.items()})


def _logged(client: MlflowClient, run_id: str) -> dict[str, tuple[int, str]]:
    """The version and digest of every table among the inputs of a run."""
    inputs = client.get_run(run_id).inputs
    tables: dict[str, tuple[int, str]] = {}
    for logged in inputs.dataset_inputs if inputs else ():
        tags = {tag.key: tag.value for tag in logged.tags}
        if TABLE in tags:
            tables[tags[TABLE]] = (int(tags[VERSION]), logged.dataset.digest)
    if not tables:
        raise NoLineage.of_run(run_id)
    return tables


def _source(snapshot: Snapshot) -> DeltaDatasetSource:
    if snapshot.location.startswith("/"):
        return DeltaDatasetSource(path=snapshot.location, delta_table_version=snapshot.version)
    return DeltaDatasetSource(
        delta_table_name=snapshot.location,
        delta_table_version=snapshot.version,
        delta_table_id=snapshot.table_id,
    )


def _with_schema(dataset: dict[str, str], schema: Schema, profile: Mapping[str, Any]) -> dict[str, str]:
    return {**dataset, "schema": json.dumps({"mlflow_colspec": schema.to_dict()}), "profile": json.dumps(profile)}
