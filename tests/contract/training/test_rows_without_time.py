"""Training on rows of one time, sorted by their label: by class, by a fold column, and with too little time."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from mlflow.tracking import MlflowClient

from deployment.gate import holdout
from lakehouse.settings import Settings
from tests.contract.databases import new_database
from tests.contract.people import USE_CASE, mlflow_restored, write_bodies
from training.feature_store.errors import FeatureNotFound
from training.feature_store.home import open_store
from training.run import train
from training.tracking import tracking
from training.use_case.use_case import UseCase

ROWS = 600
SEARCH: dict[str, Any] = {"families": ["catboost"], "max_evals": 1, "blend": 0, "seed": 4, "metric": "log_loss"}
STRATIFIED = {"by": "stratified", "holdout": 0.25, "folds": 2}
BY_COLUMN = {"by": "column", "column": "fold"}


def case(split: dict[str, Any], **search: Any) -> UseCase:
    return UseCase.model_validate(
        {**USE_CASE.model_dump(exclude_unset=True), "split": split, "search": {**SEARCH, **search}}
    )


def write_tables(root: Path) -> None:
    """People of one time, numbered in the order of their labels, of which a quarter is 1; `height` predicts it."""
    draw = np.random.default_rng(3)
    label = np.sort((np.arange(ROWS) % 4 == 0).astype(np.int64))
    time = pa.array([datetime(2020, 1, 1, tzinfo=UTC)] * ROWS, pa.timestamp("us", "UTC"))
    fold = np.asarray(["1", "2", "10", "holdout"])[draw.integers(0, 4, ROWS)]
    write_deltalake(root / "gold/labels", pa.table({"person": range(ROWS), "at": time, "label": label, "fold": fold}))
    bodies = {"height": label + draw.normal(0, 0.4, ROWS), "noise": draw.normal(0, 1, ROWS)}
    write_bodies(root, range(ROWS), time, bodies)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("timeless")
    write_tables(folder)
    uri = new_database(folder)
    return Settings(folder, folder, None, uri, uri, "")


@pytest.fixture
def client(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowClient]:
    monkeypatch.setattr("training.stages.report.write_report", lambda *_: None)
    with mlflow_restored(), tracking(settings) as ours:
        yield ours


def test_a_booster_learns_from_rows_sorted_by_label(
    settings: Settings, client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    version = train(case(STRATIFIED), settings)
    run = client.get_run(str(version.run_id)).data
    assert run.metrics["log_loss"] < 0.4  # 0.56 without features
    assert run.metrics["holdout_log_loss"] < 0.4
    assert (
        "no row is newer than another (2020-01-01): recency_half_life_days is not searched" in capsys.readouterr().out
    )
    assert "recency_half_life_days" not in run.params


def test_a_version_of_a_fold_column_is_promoted_on_the_rows_that_the_column_names(
    settings: Settings, client: MlflowClient
) -> None:
    declared = case(BY_COLUMN)
    version = train(declared, settings)
    fold = DeltaTable(settings.warehouse / "gold/labels").to_pyarrow_table()["fold"].to_pylist()
    assert "mean of 3 folds of the fold column" in str(version.description)
    assert version.tags["holdout_column"] == "fold=holdout"
    rebuilt = holdout.rebuild(declared, client.get_model_version(version.name, version.version), open_store(settings))
    assert [fold[person] for person in rebuilt.rows.keys] == ["holdout"] * fold.count("holdout")


@pytest.mark.usefixtures("client")
def test_a_fold_column_that_the_label_table_lacks_is_refused_by_name(settings: Settings) -> None:
    with pytest.raises(FeatureNotFound, match=r"gold\.labels has no column 'folds'. Did you mean 'fold'"):
        train(case({"by": "column", "column": "folds"}), settings)


def test_a_search_without_time_registers_its_first_model(settings: Settings, client: MlflowClient) -> None:
    version = train(case(STRATIFIED, max_minutes=1e-6, families=["catboost", "logistic_regression"]), settings)
    assert "best of 1 trial; search ran out of time\n" in str(version.description)
    assert "Sample: fitted on at most 5,000 random rows, since no trial succeeded in time\n" in str(
        version.description
    )
    run = client.get_run(str(version.run_id)).data
    assert (run.params["family"], run.params["sample_rows"]) == ("logistic_regression", "5000")
