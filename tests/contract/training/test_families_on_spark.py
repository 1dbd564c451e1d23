"""Families that fit on Spark: searched, registered, judged and served as any other, with Spark's own predictions."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from databricks.sdk import WorkspaceClient
from mlflow.tracking import MlflowClient
from pydantic import ValidationError

from benchmarks.harness.jvm_spark import available
from deployment.endpoints import endpoint_client
from deployment.gate.gate import Gate
from deployment.ledger.entries import Ledger
from deployment.ledger.folder import FolderLedger
from deployment.model_server.http.auth import read_token
from deployment.model_server.process import server_process
from deployment.model_server.settings import ServerSettings
from lakehouse.session import open_session
from lakehouse.settings import PROJECT, Settings
from lakehouse.tables.warehouse import Warehouse
from tests.contract.databases import new_database
from tests.contract.people import USE_CASE, mlflow_restored, write_tables
from tests.contract.training.trainings_on_spark import FEW, WIDE, case, settings
from tests.ports import free_port
from training.feature_store.local import LocalFeatureStore
from training.frame.build import load_frame
from training.frame.frame import BY_ROW, TrainingFrame
from training.frame.splits import training_split
from training.models import FAMILIES, ON_SPARK
from training.run import train
from training.spark_ml.column_names import POSITION, RESULT
from training.spark_ml.sessions import ClassicSparkNeeded, SparkMlMissing, require_classic, require_spark_ml
from training.tracking import tracking
from training.use_case.search import SearchPlan
from training.use_case.use_case import UseCase

BY_CONNECT = sorted(name for name in ON_SPARK if FAMILIES[name].fits_on == "spark" and not FAMILIES[name].extras)
FEATURES = {"height", "noise"}
ROUNDING = 1e-15  # Spark's probability of label 1 is 1 - P(0)
jvm = pytest.mark.skipif(not available(), reason="Spark ML runs on the JVM, and that is a Java")


@dataclass(frozen=True)
class Trained:
    """A folder with tables, registry and the versions of the families; nothing here uses the JVM."""

    folder: Path
    client: MlflowClient

    @property
    def settings(self) -> Settings:
        return settings(self.folder, None)

    def found(self, name: str) -> Any:
        return json.loads((self.folder / f"{name}.json").read_text())

    @property
    def training_rows(self) -> TrainingFrame:
        store = LocalFeatureStore(open_session, Warehouse(self.folder))
        return training_split(load_frame(USE_CASE, store), USE_CASE.split).training

    def predictions(self, family: str) -> Any:
        """Predictions of the reloaded version for the training rows: probabilities of label 1."""
        model = mlflow.pyfunc.load_model(f"models:/{family}/1").unwrap_python_model()
        return model.scorer.predict(self.training_rows.features)


def run(folder: Path, remote: str, *families: str) -> None:
    """Train in a process of its own: its sessions of Spark stay there."""
    write_tables(folder)
    new_database(folder)
    command = [sys.executable, "-m", "tests.contract.training.trainings_on_spark", str(folder), remote, *families]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]


@pytest.fixture(scope="module")
def trained(jvm_spark: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    folder = tmp_path_factory.mktemp("on-connect")
    run(folder, jvm_spark, *BY_CONNECT)
    with mlflow_restored(), tracking(settings(folder, None)) as client:
        yield Trained(folder, client)


@pytest.fixture(scope="module")
def trained_on_classic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    folder = tmp_path_factory.mktemp("on-classic")
    run(folder, "", "spark_xgboost")
    with mlflow_restored(), tracking(settings(folder, None)) as client:
        yield Trained(folder, client)


@contextmanager
def serving(trained: Trained) -> Iterator[WorkspaceClient]:
    ours = ServerSettings(PROJECT, trained.folder / ".serving", trained.settings.tracking_uri, port=free_port())
    server_process.serve_detached(ours)
    try:
        yield endpoint_client.connect(ours.url, read_token(ours.token_file))
    finally:
        server_process.stop(ours)


@pytest.fixture(scope="module")
def server(trained: Trained) -> Iterator[WorkspaceClient]:
    with serving(trained) as client:
        yield client


def require_promoted_and_served(trained: Trained, server: WorkspaceClient, use_case: UseCase) -> None:
    family = use_case.name
    gate = Gate(
        use_case,
        trained.client,
        lambda: LocalFeatureStore(open_session, Warehouse(trained.folder)),
        Ledger(FolderLedger(Warehouse(trained.folder))),
    )
    assert gate.promote().promote
    endpoint_client.deploy(server, family, family, 1)
    rows = trained.training_rows.features
    records = [{"height": float(rows["height"][row]), "noise": float(rows["noise"][row])} for row in range(20)]
    answers = endpoint_client.predict(server, family, records)
    assert [each["probability"] for each in answers] == trained.predictions(family)[:20].tolist()


def require_tracked_and_compiled(trained: Trained, family: str, compiled: str) -> None:
    found = trained.found(family)
    version = trained.client.get_model_version(family, str(found["version"]))
    assert version.tags["family"] == family
    assert version.tags["compiled"] == compiled, version.tags.get("compiled_reason")
    assert float(version.tags["compiled_max_difference"]) == 0
    experiment = trained.client.get_run(found["run"]).info.experiment_id
    runs = trained.client.search_runs([experiment], f"params.family = '{family}'")
    assert len(runs) == 3  # the training, and its trials
    assert [each.data.metrics["roc_auc"] > 0.6 for each in runs] == [True] * 3


@pytest.mark.jvm
@jvm
@pytest.mark.parametrize("family", BY_CONNECT)
def test_each_family_is_tracked_registered_and_compiled(trained: Trained, family: str) -> None:
    compiled = "linear" if FAMILIES[family].matrix_format == "sparse" else "onnx"
    require_tracked_and_compiled(trained, family, compiled)


@pytest.mark.jvm
@jvm
@pytest.mark.parametrize("family", BY_CONNECT)
def test_the_reloaded_version_predicts_what_spark_predicts(trained: Trained, family: str) -> None:
    spark = np.asarray(trained.found(family)["spark"])
    assert len(spark) == len(trained.training_rows) == 280
    apart = np.abs(trained.predictions(family) - spark[:, 1]).max()
    assert apart == 0 if family == "spark_random_forest" else apart < ROUNDING


@pytest.mark.jvm
@jvm
@pytest.mark.parametrize("family", BY_CONNECT)
def test_other_tasks_predict_what_spark_predicts_and_repeat_themselves(trained: Trained, family: str) -> None:
    tasks: Mapping[str, list[Any]] = trained.found(family)["tasks"]
    expected = {str(task) for task in FAMILIES[family].tasks} - {"binary"}
    assert set(tasks) - {"again"} == expected
    for name, (ours, spark) in tasks.items():
        assert np.ptp(ours) > 0
        apart = np.abs(np.asarray(ours) - np.asarray(spark)).max()
        assert apart < ROUNDING if family == "spark_logistic_regression" else apart == 0, name


@pytest.mark.jvm
@jvm
@pytest.mark.parametrize("family", BY_CONNECT)
def test_the_server_keeps_no_model_after_a_training(trained: Trained, family: str) -> None:
    assert trained.found(family)["cache"] == []


@pytest.mark.jvm
@jvm
def test_rows_of_many_categories_are_sparse_on_spark(trained: Trained) -> None:
    size = 1 + WIDE
    assert trained.found("wide") == [
        ["SparseVector", size, [0, 8], [0.5, 1.0]],
        ["SparseVector", size, [WIDE], [1.0]],
        ["SparseVector", size, [0, 1], [2.0, 1.0]],  # newer than the vocabulary: unknown
    ]


@pytest.mark.jvm
@jvm
def test_a_training_receives_no_features_but_bounded_samples(trained: Trained) -> None:
    batches = [(set(columns), rows) for columns, rows in trained.found("rows")["received"]]
    assert sum(rows for columns, rows in batches if columns & {"person", "at"}) == 400  # the spine, once
    assert all("label" in columns and not columns & FEATURES for columns, _ in batches if "person" in columns)
    assert 0 < max(rows for columns, rows in batches if columns & FEATURES) <= FEW
    assert sum(rows for columns, rows in batches if columns == {POSITION, RESULT}) > 400  # folds, holdout and hashes
    assert trained.found("rows")["report"]


@pytest.mark.jvm
@jvm
def test_spark_predicts_the_holdout_as_it_is_served(trained: Trained) -> None:
    assert trained.found("rows")["same_as_served"]


@pytest.mark.jvm
@jvm
def test_rows_on_spark_have_the_fingerprint_of_the_same_rows_here(trained: Trained) -> None:
    on_spark, here, tag = trained.found("rows")["fingerprints"]
    assert on_spark == here == tag and tag.startswith(BY_ROW)


@pytest.mark.jvm
@jvm
def test_a_frame_on_spark_has_the_rows_constants_and_refusals_of_a_collected_one(trained: Trained) -> None:
    (on_spark, collected), (refused_there, refused_here) = trained.found("rows")["frames"]
    assert on_spark == collected and "{'flat': 2.5}" in on_spark and "{'gold.bodies': 60}" in on_spark
    assert refused_there == refused_here
    assert "(400 in all): height in 60, noise in 68" in refused_here


@pytest.mark.jvm
@jvm
@pytest.mark.parametrize("family", BY_CONNECT)
def test_the_gate_promotes_a_family_and_the_endpoint_serves_it(
    trained: Trained, server: WorkspaceClient, family: str
) -> None:
    require_promoted_and_served(trained, server, case(family))


@pytest.mark.jvm
@jvm
def test_xgboost_on_a_classic_session_predicts_what_spark_predicts(trained_on_classic: Trained) -> None:
    require_tracked_and_compiled(trained_on_classic, "spark_xgboost", "onnx")
    spark = np.asarray(trained_on_classic.found("spark_xgboost")["spark"])
    # Spark makes both single-precision probabilities doubles; the family xgboost makes them sum to 1.
    assert np.abs(trained_on_classic.predictions("spark_xgboost") - spark[:, 1]).max() < 1e-7


@pytest.mark.jvm
@jvm
def test_the_gate_promotes_xgboost_of_a_classic_session_and_the_endpoint_serves_it(
    trained_on_classic: Trained,
) -> None:
    with serving(trained_on_classic) as server:
        require_promoted_and_served(trained_on_classic, server, case("spark_xgboost"))


def test_xgboost_on_spark_is_refused_over_connect() -> None:
    connect = Settings(PROJECT, PROJECT, "sc://somewhere:15002", "", "", "")
    message = r"spark_xgboost cannot run over Spark Connect \(sc://somewhere:15002\).*sparkContext.*\n.*SPARK_MASTER"
    with pytest.raises(ClassicSparkNeeded, match=message):
        require_classic(["spark_xgboost"], connect)


def test_families_on_spark_are_refused_on_the_embedded_engine_before_anything_is_read(tmp_path: Path) -> None:
    uri = new_database(tmp_path)
    sail = Settings(tmp_path, tmp_path, None, uri, uri, "")
    message = r"Spark ML fits spark_random_forest, and the embedded engine has none\n.*make spark.*SPARK_REMOTE"
    with mlflow_restored(), pytest.raises(SparkMlMissing, match=message):
        train(case("spark_random_forest"), sail)


def test_a_server_without_spark_ml_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.spark_ml.sessions.open_session", lambda _remote: open_session())
    remote = replace(settings(PROJECT, None), remote="sc://sail:50051")
    with pytest.raises(SparkMlMissing, match="and the server at sc://sail:50051 has none"):
        require_spark_ml(["spark_logistic_regression"], remote)


@pytest.mark.parametrize("changes", [{"parallelism": 2}, {"executor": "processes"}, {"trial_timeout_s": 9.0}])
def test_trials_of_families_on_spark_run_one_at_a_time(changes: dict[str, Any]) -> None:
    with pytest.raises(
        ValidationError, match=r"a fit of spark_random_forest is parallel on Spark, so trials run one at a time"
    ):
        SearchPlan.model_validate({"families": ["knn", "spark_random_forest"], **changes})
