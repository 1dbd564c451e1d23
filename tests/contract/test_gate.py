"""The gate on real versions: models in a real registry, judged on real Delta tables."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mlflow
import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from mlflow.tracking import MlflowClient

from deployment import stages
from deployment.gate import Gate
from deployment.holdout import HoldoutRefused
from deployment.ledger import Ledger
from lakehouse.session import open_session
from lakehouse.settings import Settings
from lakehouse.warehouse import Warehouse, WarehouseUnwritable
from tests.unit.frames import by_time
from training import splitting
from training.dataset import load_frame
from training.evaluation import evaluate
from training.feature_store.local import LocalFeatureStore
from training.provenance import provenance
from training.registry import newest_version, register, version_of
from training.scoring import Answering, Scorer
from training.search.joint import Candidate
from training.search.space import Params
from training.search.trial import Trial, fit
from training.tracking import experiment_id, tracking
from training.use_case import UseCase

NAME = "people"
USE_CASE = UseCase.model_validate(
    {
        "name": NAME,
        "task": "binary",
        "labels": {"table": "gold.labels", "entity": "person", "timestamp": "at", "column": "label"},
        "features": [{"table": "gold.bodies"}],
        "split": {"holdout": 0.3},
        "search": {"families": ["logistic_regression"]},
        "promotion": {"minimum": 0.7},
        "serving": {"endpoint": NAME},
        "golden_request": {"height": 1.0, "noise": 0.0},
    }
)
PARAMS: Params = {
    "inverse_regularization": 0.5,
    "penalty": "l2",
    "numeric_shape": "as_is",
    "class_weight": None,
    "recency_half_life_days": None,
}
ROWS = 400


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LocalFeatureStore:
    """People by day: `height` tells the label, `noise` does not."""
    root = tmp_path_factory.mktemp("warehouse")
    draw = np.random.default_rng(3)
    label = draw.integers(0, 2, ROWS)
    days = [datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=day) for day in range(ROWS)]
    time = pa.array(days, pa.timestamp("us", "UTC"))
    write_deltalake(root / "gold/labels", pa.table({"person": range(ROWS), "at": time, "label": label}))
    bodies = {"height": label + draw.normal(0, 0.7, ROWS), "noise": draw.normal(0, 1, ROWS)}
    write_deltalake(root / "gold/bodies", pa.table({"person": range(ROWS), "known_at": time, **bodies}))
    published = {
        "feature_table.primary_keys": json.dumps(["person"]),
        "feature_table.timestamp_column": "known_at",
        "feature_table.description": "",
        "feature_table.features": json.dumps({name: {"data_type": "double", "description": ""} for name in bodies}),
    }
    DeltaTable(root / "gold/bodies").alter.set_table_properties(published, raise_if_not_exists=False)
    return LocalFeatureStore(open_session(), Warehouse(root))


@contextmanager
def mlflow_as_before() -> Iterator[None]:
    """Put MLflow's addresses back, in this process and in what its children inherit."""
    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None  # type: ignore[no-untyped-call]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
            patch.setenv(name, "")
        yield
        mlflow.set_registry_uri(None)  # type: ignore[arg-type]  # as it was before anyone set it
        mlflow.set_tracking_uri(before)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory, store: LocalFeatureStore) -> Iterator[MlflowClient]:
    """A registry in which version 1 has learned the opposite, and 2 and 3 the same right thing."""
    folder = tmp_path_factory.mktemp("registry")
    uri = f"sqlite:///{folder}/mlflow.db"
    settings = Settings(folder, folder, None, uri, uri, "")
    with mlflow_as_before(), tracking(settings) as client:
        experiment = experiment_id(client, settings, NAME)
        for opposite in (True, False, False):
            with mlflow.start_run(experiment_id=experiment):
                train(client, store, opposite=opposite)
        yield client


def train(client: MlflowClient, store: LocalFeatureStore, *, opposite: bool) -> None:
    split = splitting.split(load_frame(USE_CASE, store), by_time(holdout=USE_CASE.split.holdout))
    candidate = Candidate("logistic_regression", PARAMS)
    learned = replace(split.training, y=1 - split.training.y) if opposite else split.training
    scorer = Scorer(fit(candidate, learned, 0), split.training.encoder, Answering(("probability",), 0.5))
    metrics = evaluate("binary", split.holdout.y, scorer.predicted(split.holdout.features), 0.5)
    data = provenance(split, by_time(), newest_version(client, NAME))
    register(USE_CASE, scorer, Trial(1, candidate, metrics, (metrics,), timedelta(0)), data, {})


@pytest.fixture
def gate(versions: MlflowClient, store: LocalFeatureStore, tmp_path: Path) -> Gate:
    """A gate with an empty ledger; no version is champion, and 2 is the challenger."""
    for alias in ("champion", "challenger"):
        versions.delete_registered_model_alias(NAME, alias)
    for version in versions.search_model_versions(f"name = '{NAME}'"):
        versions.set_model_version_tag(NAME, str(version.version), "stage", "Development")
    return with_aliases(Gate(USE_CASE, versions, store, Ledger(store.session, Warehouse(tmp_path))), challenger=2)


def with_aliases(gate: Gate, **versions: int) -> Gate:
    for alias, version in versions.items():
        gate.client.set_registered_model_alias(NAME, alias, str(version))
    return gate


def actions(gate: Gate) -> list[tuple[str, int | None, int | None]]:
    return [(entry.action, entry.from_version, entry.to_version) for entry in gate.ledger.entries(NAME)]


def test_a_registered_version_says_what_it_was_made_from(gate: Gate) -> None:
    first, second = (gate.client.get_model_version(NAME, number) for number in ("1", "2"))
    assert first.tags["stage"] == "Development"
    assert json.loads(first.tags["data.sources"]) == {"gold.bodies": 1, "gold.labels": 0}
    assert "Trained on 280 rows from 2020-01-01 to 2020-10-06 (the first version)." in str(first.description)
    assert "(0 rows newer than the version before)" in str(second.description)


def test_a_first_version_that_is_good_enough_becomes_the_champion(gate: Gate) -> None:
    decision = gate.judge()
    assert [reason.criterion for reason in decision.reasons] == [
        "valid probabilities of version 2",
        "minimum roc_auc",
    ]
    gate.apply(decision)
    assert int(stages.champion(gate.client, NAME).version) == 2
    assert actions(gate) == [("promoted", None, 2)]


def test_a_first_version_that_is_not_serves_nobody(gate: Gate) -> None:
    decision = with_aliases(gate, challenger=1).judge()
    gate.apply(decision)
    assert decision.summary().startswith("minimum roc_auc: required >= 0.7, found 0.")
    assert actions(gate) == [("refused", None, None)]
    with pytest.raises(stages.NoChampion):
        stages.champion(gate.client, NAME)


def test_a_better_version_takes_the_place_of_the_champion(gate: Gate) -> None:
    gate.apply(with_aliases(gate, champion=1).judge())
    assert int(stages.champion(gate.client, NAME).version) == 2
    assert actions(gate) == [("repaired", None, 1), ("promoted", 1, 2)]


def test_a_version_that_answers_as_the_champion_does_is_not_promoted(gate: Gate) -> None:
    decision = with_aliases(gate, champion=2, challenger=3).judge()
    assert [r.criterion for r in decision.reasons if not r.passed] == ["answers differ from version 2"]
    gate.apply(decision)
    assert int(stages.champion(gate.client, NAME).version) == 2


def test_rows_that_came_after_the_training_change_no_verdict(gate: Gate) -> None:
    before = gate.judge()
    root, late = gate.store.warehouse.root, datetime(2030, 1, 1, tzinfo=UTC)  # type: ignore[attr-defined]
    time = pa.array([late, late], pa.timestamp("us", "UTC"))
    more = pa.table({"person": [900, 901], "at": time, "label": pa.array([0, 1], pa.int64())})
    write_deltalake(root / "gold/labels", more, mode="append")
    assert gate.judge() == before


def test_a_champion_that_has_seen_the_holdout_is_not_compared(gate: Gate) -> None:
    with_aliases(gate, champion=1)
    tags = gate.client.get_model_version(NAME, "1").tags
    gate.client.set_model_version_tag(NAME, "1", "data.last", tags["holdout.from"])
    with pytest.raises(HoldoutRefused, match="the champion, version 1, was trained on rows up to"):
        gate.judge()
    gate.client.set_model_version_tag(NAME, "1", "data.last", tags["data.last"])


def test_a_holdout_of_another_hash_is_refused(gate: Gate) -> None:
    tags = gate.client.get_model_version(NAME, "2").tags
    gate.client.set_model_version_tag(NAME, "2", "holdout.fingerprint", "0" * 64)
    with pytest.raises(HoldoutRefused, match="holdout of version 2 has changed"):
        gate.judge()
    gate.client.set_model_version_tag(NAME, "2", "holdout.fingerprint", tags["holdout.fingerprint"])
    assert actions(gate) == []


def test_what_could_not_be_recorded_is_not_even_judged(gate: Gate, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    unwritable = replace(gate, ledger=Ledger(gate.ledger.session, Warehouse(tmp_path / "file")))
    with pytest.raises(WarehouseUnwritable):
        unwritable.judge()
    assert version_of(gate.client, NAME, "champion") is None
