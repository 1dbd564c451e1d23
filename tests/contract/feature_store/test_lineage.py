"""The table versions logged in MLflow rebuild the frame of a run after the tables changed."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mlflow
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from mlflow.tracking import MlflowClient

from lakehouse.session import open_session
from lakehouse.settings import Settings
from lakehouse.tables.warehouse import TableNotFound, Warehouse
from tests.contract.databases import new_database
from tests.contract.feature_store.test_feature_store import write
from tests.contract.people import mlflow_restored
from tests.unit.frames import by_time
from tests.unit.in_memory_reader import use_case
from training.feature_store.local import LocalFeatureStore
from training.frame import splits
from training.frame.build import load_frame
from training.frame.lineage import NoLineage, TableRebuilt, log_inputs, logged_versions, rebuild
from training.frame.splits import Split
from training.tracking import tracking

START = datetime(2020, 1, 1, tzinfo=UTC)
USE_CASE = use_case("gold.people")
PUBLISHED = {
    "feature_table.primary_keys": json.dumps(["entity"]),
    "feature_table.timestamp_column": "known_at",
    "feature_table.description": "People.",
    "feature_table.features": json.dumps(
        {name: {"data_type": "bigint", "description": ""} for name in ("age", "job_index")}
    ),
    "feature_table.encodings": json.dumps([{"column": "job", "as": "category_index", "index": "gold.job_index"}]),
}


@pytest.fixture
def store(tmp_path: Path) -> LocalFeatureStore:
    """Forty people with age, job and a purchase label."""
    people = range(40)
    write(tmp_path, "people", ["entity", "known_at", "age", "job_index"], [(p, START, 20 + p, p % 3) for p in people])
    DeltaTable(tmp_path / "gold/people").alter.set_table_properties(PUBLISHED, raise_if_not_exists=False)
    write(tmp_path, "labels", ["entity", "at", "label"], [(p, START + timedelta(days=p + 1), p % 2) for p in people])
    jobs = pa.table({"job": ["baker", "cook"], "job_index": pa.array([1, 2], pa.int64())})
    write_deltalake(tmp_path / "gold/job_index", jobs)
    return LocalFeatureStore(open_session, Warehouse(tmp_path))


@pytest.fixture
def client(tmp_path: Path) -> Iterator[MlflowClient]:
    uri = new_database(tmp_path)
    with mlflow_restored(), tracking(Settings(tmp_path, tmp_path, None, uri, uri, "")) as ours:
        yield ours


def logged(client: MlflowClient, store: LocalFeatureStore) -> tuple[str, Split]:
    data = splits.split(load_frame(USE_CASE, store), by_time(holdout=0.2))
    with mlflow.start_run(experiment_id=client.create_experiment("people")) as run:
        log_inputs(USE_CASE, store, data)
    return run.info.run_id, data


def change(store: LocalFeatureStore) -> None:
    """Append rows, correct rows, overwrite a table, and add a category."""
    root = store.warehouse.root
    late = pa.table({"entity": [0], "known_at": pa.array([START + timedelta(hours=1)], pa.timestamp("us", "UTC"))})
    late = late.append_column("age", [[99]]).append_column("job_index", [[1]])
    write_deltalake(root / "gold/people", late, mode="append")
    write(
        root, "labels", ["entity", "at", "label"], [(p, START + timedelta(days=p + 1), int(p < 5)) for p in range(9)]
    )
    jobs = pa.table({"job": ["acrobat", "baker", "cook"], "job_index": pa.array([3, 1, 2], pa.int64())})
    write_deltalake(root / "gold/job_index", jobs, mode="overwrite")


def test_the_frame_is_rebuilt_after_its_tables_changed(store: LocalFeatureStore, client: MlflowClient) -> None:
    run_id, data = logged(client, store)
    change(store)
    assert load_frame(USE_CASE, store).encoder.vocabularies != data.training.encoder.vocabularies
    again = splits.split(rebuild(USE_CASE, store, client, run_id), by_time(holdout=0.2))
    assert logged_versions(client, run_id) == {"gold.job_index": 0, "gold.labels": 0, "gold.people": 1}
    assert again.training.fingerprint() == data.training.fingerprint()
    assert again.holdout.fingerprint() == data.holdout.fingerprint()
    assert again.training.encoder == data.training.encoder


def test_each_table_and_both_parts_are_inputs_of_the_run(store: LocalFeatureStore, client: MlflowClient) -> None:
    run_id, data = logged(client, store)
    inputs = client.get_run(run_id).inputs
    assert inputs is not None
    found = {each.dataset.name: each.dataset for each in inputs.dataset_inputs}
    contexts = {
        each.dataset.name: tag.value
        for each in inputs.dataset_inputs
        for tag in each.tags
        if tag.key == "mlflow.data.context"
    }
    assert contexts == {
        "gold.people": "training",
        "gold.labels": "training",
        "gold.job_index": "training",
        "shelf.training": "training",
        "shelf.holdout": "holdout",
    }
    people = found["gold.people"]
    assert json.loads(str(people.profile)) == {"rows": 40, "delta_version": 1}
    assert [(c["name"], c["type"]) for c in json.loads(str(people.schema))["mlflow_colspec"]] == [
        ("entity", "long"),
        ("known_at", "datetime"),
        ("age", "long"),
        ("job_index", "long"),
    ]
    assert json.loads(people.source) == {"path": str(store.warehouse.root / "gold/people"), "delta_table_version": 1}
    holdout = json.loads(str(found["shelf.holdout"].profile))
    assert (holdout["rows"], holdout["fingerprint"]) == (len(data.holdout), data.holdout.fingerprint())
    assert found["shelf.training"].digest == data.training.fingerprint()[:36]


def test_a_table_that_was_created_again_is_refused(store: LocalFeatureStore, client: MlflowClient) -> None:
    run_id, _ = logged(client, store)
    labels = store.warehouse.root / "gold/labels"
    rows = DeltaTable(labels).to_pyarrow_table()
    shutil.rmtree(labels)
    write_deltalake(labels, rows)
    with pytest.raises(TableRebuilt, match=r"gold\.labels was dropped and created again: its version 0"):
        rebuild(USE_CASE, store, client, run_id)
    shutil.rmtree(labels)
    with pytest.raises(TableNotFound, match=r"gold\.labels"):
        rebuild(USE_CASE, store, client, run_id)


def test_a_run_without_logged_tables_is_refused(client: MlflowClient) -> None:
    run = client.create_run(client.create_experiment("elsewhere"))
    with pytest.raises(NoLineage, match=run.info.run_id):
        logged_versions(client, run.info.run_id)
