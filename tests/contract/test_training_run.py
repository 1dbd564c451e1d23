"""`training.run` from tables to a version: interrupted, resumed, and registered only if asked."""

from collections.abc import Iterator
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from lakehouse.settings import Settings
from tests.contract.databases import new_database
from tests.contract.people import NAME, USE_CASE, mlflow_as_before, write_tables
from training.run import train
from training.search.trial import Attempt, Task, Trial
from training.tracking import tracking
from training.use_case import with_search
from training.versions import newest_version

SEARCH: dict[str, Any] = {"families": ["logistic_regression", "knn"], "max_evals": 5, "blend": 0, "seed": 4}
CASE = with_search(USE_CASE, SEARCH | {"space": {"knn": {"n_neighbors": [5, 9]}}})
ONE_BY_ONE = {"knn": {"n_neighbors": [5, 9], "weights": ["uniform"], "distance": ["cosine"]}}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("training")
    write_tables(folder)
    uri = new_database(folder)
    return Settings(folder, folder, None, uri, uri, "")


@pytest.fixture
def client(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowClient]:
    monkeypatch.setattr("training.run.write_report", lambda *_: None)  # tests/contract/test_report_publication.py
    with mlflow_as_before(), tracking(settings) as ours:
        yield ours


def ctrl_c(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Ctrl-C comes in the middle of a trial."""
    whole = Attempt.__call__

    def tried(attempt: Attempt, task: Task) -> Trial:
        if task.number == at:
            raise KeyboardInterrupt
        return whole(attempt, task)

    monkeypatch.setattr(Attempt, "__call__", tried)


def made_of(client: MlflowClient, version: Any) -> tuple[dict[str, str], dict[str, float]]:
    run = client.get_run(version.run_id)
    return run.data.params, {name: value for name, value in run.data.metrics.items() if name.startswith("holdout")}


def test_an_interrupted_training_registers_nothing_and_goes_on_to_the_same_version(
    settings: Settings, client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        ctrl_c(patch, at=4)
        with pytest.raises(KeyboardInterrupt):
            train(CASE, settings)
    assert "the same command with --resume " in capsys.readouterr().out
    assert newest_version(client, NAME) is None
    resumed = train(CASE, settings, resume="latest")
    assert "3 trials of run " in capsys.readouterr().out
    fresh = train(CASE, settings)
    assert resumed.version != fresh.version
    assert made_of(client, resumed) == made_of(client, fresh)
    assert resumed.tags["data.rows"] == fresh.tags["data.rows"]


def test_the_best_so_far_is_registered_where_that_is_asked_for(
    settings: Settings, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ctrl_c(monkeypatch, at=3)
    version = train(CASE, settings, register_on_interrupt=True)
    nested = f"tags.mlflow.parentRunId = '{version.run_id}'"
    experiment = client.get_run(str(version.run_id)).info.experiment_id
    assert sorted(run.data.tags["trial"] for run in client.search_runs([experiment], nested)) == ["0", "1", "2"]


def test_the_size_of_a_grid_is_told_before_it_starts(
    settings: Settings, client: MlflowClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ctrl_c(monkeypatch, at=1)
    case = with_search(USE_CASE, SEARCH | {"method": "grid", "families": ["knn"], "space": ONE_BY_ONE})
    with pytest.raises(KeyboardInterrupt):
        train(case, settings)
    assert "Searching knn by grid: 4 points on 4 folds" in capsys.readouterr().out
