"""Use case `people`: four tiny versions in a real registry, on real Delta tables. Fixture of the gate tests."""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from deltalake import DeltaTable, write_deltalake
from mlflow.tracking import MlflowClient

from deployment.gate.gate import Gate
from deployment.ledger.entries import Ledger
from deployment.ledger.folder import FolderLedger
from deployment.run import main
from lakehouse.errors import LakehouseError
from lakehouse.session import open_session
from lakehouse.settings import Settings
from lakehouse.tables.warehouse import Warehouse
from scoring.scorer import ResponseFormat, Scorer
from scoring.tasks import BINARY
from tests.unit.frames import by_time
from training.evaluation.metrics import evaluate
from training.feature_store.local import LocalFeatureStore
from training.feature_store.store import FeatureStore
from training.frame import splits
from training.frame.build import load_frame
from training.frame.provenance import provenance
from training.population.build import population_of
from training.registry.registration import register_version
from training.registry.versions import CHALLENGER, CHAMPION, newest_version, version_of
from training.search.fitting import fit
from training.search.result import SearchResult
from training.search.trial import Trial
from training.space.joint_space import Candidate
from training.space.space import Params
from training.tracking import experiment_id, tracking
from training.use_case.use_case import UseCase

NAME = "people"
ROWS = 400
USE_CASE = UseCase.model_validate(
    {
        "name": NAME,
        "task": "binary",
        "labels": {"table": "gold.labels", "entity": "person", "timestamp": "at", "column": "label"},
        "features": [{"table": "gold.bodies"}],
        "split": {"holdout": 0.3},
        "search": {"families": ["logistic_regression"]},
        "promotion": {"minimum": 0.6, "margin": 0.05},
        "serving": {"endpoint": NAME},
        "golden_request": {"height": 1.0, "noise": 0.0},
    }
)
PARAMS: Params = {
    "inverse_regularization": 0.5,
    "penalty": "l2",
    "class_weight": None,
    "numeric_shape": "as_is",
    "recency_half_life_days": None,
}
# Share of wrong training labels of each version: 1 is fair, 2 better, 3 worse, 4 as good as 2.
WRONG_LABELS = {1: 0.3, 2: 0.0, 3: 0.6, 4: 0.05}


def write_tables(root: Path) -> None:
    """One person a day: `height` predicts the label, `noise` does not."""
    draw = np.random.default_rng(3)
    label = draw.integers(0, 2, ROWS)
    days = [datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=day) for day in range(ROWS)]
    time = pa.array(days, pa.timestamp("us", "UTC"))
    write_deltalake(root / "gold/labels", pa.table({"person": range(ROWS), "at": time, "label": label}))
    bodies = {"height": label + draw.normal(0, 0.7, ROWS), "noise": draw.normal(0, 1, ROWS)}
    write_bodies(root, range(ROWS), time, bodies)


def write_bodies(root: Path, person: Iterable[int], time: pa.Array, features: Mapping[str, Any]) -> None:
    """Write the feature table `gold.bodies`, whose features are doubles, and publish it."""
    write_deltalake(root / "gold/bodies", pa.table({"person": person, "known_at": time, **features}))
    published = {
        "feature_table.primary_keys": json.dumps(["person"]),
        "feature_table.timestamp_column": "known_at",
        "feature_table.description": "",
        "feature_table.features": json.dumps({name: {"data_type": "double", "description": ""} for name in features}),
    }
    DeltaTable(root / "gold/bodies").alter.set_table_properties(published, raise_if_not_exists=False)


def threshold_of(wrong_labels: float) -> float:
    """Decision threshold of a version; it differs between versions."""
    return 0.5 - wrong_labels / 10


def train(
    client: MlflowClient,
    store: FeatureStore,
    wrong_labels: float,
    use_case: UseCase = USE_CASE,
    signal: str = "noise",
) -> None:
    """Register a new challenger; a share above 1 inverts every label.

    Args:
        signal: feature that wrong labels follow.
    """
    split = splits.split(load_frame(use_case, store), by_time(holdout=use_case.split.holdout))
    candidate = Candidate("logistic_regression", PARAMS)
    wrong = np.random.default_rng(1).random(len(split.training)) < wrong_labels
    y = np.where(wrong, split.training.features[signal] > 0, split.training.y).astype(np.int64)
    learned = replace(split.training, y=1 - y if wrong_labels > 1 else y)
    answering = ResponseFormat(("probability",), threshold_of(wrong_labels))
    scorer = Scorer(fit(candidate, learned, 0), split.training.encoder, answering)
    metrics = evaluate(BINARY, split.holdout.y, scorer.predict(split.holdout.features), answering.threshold)
    data = provenance(split, by_time(), newest_version(client, NAME))
    trial = Trial(1, candidate, metrics, (metrics,), timedelta(0))
    predicted = scorer.predict(split.holdout.features)
    population = population_of(scorer, split, predicted, use_case.monitoring)
    register_version(client, use_case, scorer, SearchResult((trial,), "complete"), data, {}, population=population)


@dataclass(frozen=True)
class Environment:
    """Tables, registry and ledger of one test; the ledger is in the warehouse."""

    warehouse: Path
    database: Path

    @property
    def settings(self) -> Settings:
        uri = f"sqlite:///{self.database}"
        return Settings(self.database.parent, self.warehouse, None, uri, uri, "")

    @classmethod
    def built(cls, root: Path) -> "Environment":
        """Create four versions in development; the last is the challenger."""
        environment = cls(root / "warehouse", root / "mlflow.db")
        write_tables(environment.warehouse)
        with mlflow_restored(), tracking(environment.settings) as client:
            experiment = experiment_id(client, environment.settings, NAME)
            for wrong_labels in WRONG_LABELS.values():
                with mlflow.start_run(experiment_id=experiment):
                    train(client, environment.store(), wrong_labels)
        return environment

    def store(self) -> FeatureStore:
        return LocalFeatureStore(open_session, Warehouse(self.warehouse))

    def copied(self, root: Path) -> "Environment":
        """Copy tables, registry and ledger for one test; the model files are shared."""
        shutil.copytree(self.warehouse, root / "warehouse")
        shutil.copy(self.database, root / "mlflow.db")
        return Environment(root / "warehouse", root / "mlflow.db")

    def gate(self, client: MlflowClient, use_case: UseCase = USE_CASE) -> Gate:
        return Gate(use_case, client, self.store, Ledger(FolderLedger(Warehouse(self.warehouse))))


@contextmanager
def mlflow_restored() -> Iterator[None]:
    """Restore the MLflow URIs, in this process and in the environment of its children."""
    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None  # type: ignore[no-untyped-call]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
            patch.setenv(name, "")
        mlflow.set_registry_uri(None)  # type: ignore[arg-type]  # None means unset
        yield
        mlflow.set_registry_uri(None)  # type: ignore[arg-type]  # None means unset
        mlflow.set_tracking_uri(before)  # type: ignore[arg-type]


@contextmanager
def opened_gate(environment: Environment, **criteria: object) -> Iterator[Gate]:
    """The gate of an environment, with changed promotion criteria."""
    promotion = USE_CASE.promotion.model_dump() | criteria
    changed = UseCase.model_validate(USE_CASE.model_dump() | {"promotion": promotion})
    with mlflow_restored(), tracking(environment.settings) as client:
        yield environment.gate(client, changed)


def set_challenger(gate: Gate, version: int) -> Gate:
    gate.client.set_registered_model_alias(NAME, CHALLENGER, str(version))
    return gate


def command(*arguments: str, exits: int = 0) -> str:
    """Run a command of `deployment.run` for `people`, check the exit code and return the output."""
    result = CliRunner().invoke(main, [*arguments, "--use-case", NAME])
    code = 1 if isinstance(result.exception, LakehouseError) else result.exit_code
    output = f"{result.output}{result.exception or ''}"
    assert code == exits, output
    return output


def champion(gate: Gate) -> int | None:
    version = version_of(gate.client, NAME, CHAMPION)
    return None if version is None else int(version.version)


def actions(gate: Gate) -> list[tuple[str, int | None, int | None]]:
    return [(entry.action, entry.from_version, entry.to_version) for entry in gate.ledger.entries(NAME)]
