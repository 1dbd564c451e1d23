"""`training.run` from tables to a version: interrupted, resumed, and registered on Ctrl-C if requested."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from lakehouse.settings import Settings
from tests.contract.databases import new_database
from tests.contract.mlflow_server import mlflow_server
from tests.contract.people import NAME, USE_CASE, mlflow_restored, write_tables
from training.registry.versions import CHALLENGER, newest_version, version_of
from training.run import train
from training.search.trial import Attempt, Trial, TrialSpec
from training.space.space import SpaceRefused
from training.tracking import tracking
from training.tracking.run_marks import MarkedRun, run_mark
from training.tracking.searches import STOP_REASON
from training.use_case.use_case import with_search

SEARCH: dict[str, Any] = {"families": ["logistic_regression", "knn"], "max_evals": 5, "blend": 0, "seed": 4}
CASE = with_search(USE_CASE, SEARCH | {"space": {"knn": {"n_neighbors": [5, 9]}}})
ONE_BY_ONE = {"knn": {"n_neighbors": [5, 9], "weights": ["uniform"], "distance": ["cosine"]}}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    folder = tmp_path_factory.mktemp("training")
    write_tables(folder)
    uri = new_database(folder)
    with mlflow_restored():  # a training sets them for its process
        yield Settings(folder, folder, None, uri, uri, "")


@pytest.fixture
def client(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowClient]:
    monkeypatch.setattr(
        "training.stages.report.write_report", lambda *_: None
    )  # tests/contract/training/test_report_publication.py
    with mlflow_restored(), tracking(settings) as ours:
        yield ours


def ctrl_c(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Raise Ctrl-C in the middle of a trial."""
    original = Attempt.__call__

    def interrupted(attempt: Attempt, spec: TrialSpec) -> Trial:
        if spec.number == at:
            raise KeyboardInterrupt
        return original(attempt, spec)

    monkeypatch.setattr(Attempt, "__call__", interrupted)


def params_and_holdout(client: MlflowClient, version: Any) -> tuple[dict[str, str], dict[str, float]]:
    run = client.get_run(version.run_id)
    return run.data.params, {name: value for name, value in run.data.metrics.items() if name.startswith("holdout")}


def test_an_interrupted_training_registers_nothing_and_resumes_to_the_same_version(
    settings: Settings, client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        ctrl_c(patch, at=4)
        with pytest.raises(KeyboardInterrupt, match=r"repeat the command with --resume \w+"):
            train(CASE, settings)
    assert newest_version(client, NAME) is None
    resumed = train(CASE, settings, resume="latest")
    assert "resumed with 3 trials of run " in capsys.readouterr().out
    fresh = train(CASE, settings)
    assert resumed.version != fresh.version
    assert params_and_holdout(client, resumed) == params_and_holdout(client, fresh)
    assert resumed.tags["data_rows"] == fresh.tags["data_rows"]


def test_ctrl_c_registers_the_best_so_far_if_requested(
    settings: Settings, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ctrl_c(monkeypatch, at=3)
    version = train(CASE, settings, register_on_interrupt=True)
    nested = f"tags.mlflow.parentRunId = '{version.run_id}'"
    experiment = client.get_run(str(version.run_id)).info.experiment_id
    assert sorted(run.data.tags["trial"] for run in client.search_runs([experiment], nested)) == ["0", "1", "2"]
    assert client.get_run(str(version.run_id)).data.tags[STOP_REASON] == "interrupted"
    assert "; best of 2 trials; search interrupted\n" in str(version.description)


def test_ctrl_c_before_the_first_trial_registers_nothing(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    ctrl_c(monkeypatch, at=1)
    with pytest.raises(KeyboardInterrupt, match="Nothing was registered"):
        train(CASE, settings, register_on_interrupt=True)


def test_the_size_of_a_grid_is_printed_before_it_starts(
    settings: Settings, client: MlflowClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ctrl_c(monkeypatch, at=1)
    case = with_search(USE_CASE, SEARCH | {"method": "grid", "families": ["knn"], "space": ONE_BY_ONE})
    with pytest.raises(KeyboardInterrupt):
        train(case, settings)
    assert "Searching knn by grid: 4 points on 4 folds" in capsys.readouterr().out


def test_a_grid_that_is_too_large_leaves_no_run_behind(settings: Settings, client: MlflowClient) -> None:
    experiment = client.create_experiment("too large")
    case = with_search(
        USE_CASE, SEARCH | {"method": "grid", "families": ["knn"], "max_evals": 1, "space": ONE_BY_ONE}
    )
    with pytest.raises(SpaceRefused, match="the grid has 4 points"):
        train(case.model_copy(update={"name": "too large"}), settings)
    assert client.search_runs([experiment]) == []


KILLED_BEFORE_REGISTRATION = """
import os, signal, sys
from pathlib import Path
import training.run, training.stages.refit
from lakehouse.settings import Settings
from tests.contract.training.test_training_run import CASE
training.stages.refit.refit = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
folder, uri = Path(sys.argv[1]), sys.argv[2]
training.run.train(CASE, Settings(folder, folder, None, uri, uri, ""))
"""


def test_a_run_that_was_killed_before_its_registration_is_ended_by_the_next_start_and_resumed(
    settings: Settings, client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(settings.project), settings.tracking_uri]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_BEFORE_REGISTRATION, *arguments], check=False, capture_output=True, text=True
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    experiment = client.get_experiment_by_name(NAME)
    assert experiment is not None
    (left,) = client.search_runs([experiment.experiment_id], "attributes.status = 'RUNNING'")
    with run_mark(settings.journals, MarkedRun(settings.tracking_uri, "of a living process")):
        version = train(CASE, settings, resume=left.info.run_id)
        assert [path.name for path in settings.journals.iterdir()] == ["of a living process.run"]
    output = capsys.readouterr().out
    assert f"run {left.info.run_id} ended early and is now KILLED" in output
    assert "resumed with 5 trials of run " in output
    assert version.run_id == left.info.run_id
    assert client.get_run(left.info.run_id).info.status == "FINISHED"


def test_runs_and_version_are_logged_to_an_mlflow_server_without_a_line_per_trial(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("training.stages.report.write_report", lambda *_: None)
    new_database(tmp_path)
    with mlflow_server(tmp_path / "mlflow.db", tmp_path) as address, mlflow_restored():
        remote = replace(settings, tracking_uri=address, registry_uri=address)
        version = train(CASE, remote)
        with tracking(remote) as client:
            assert version_of(client, NAME, CHALLENGER) == client.get_model_version(NAME, version.version)
            nested = f"tags.mlflow.parentRunId = '{version.run_id}'"
            assert len(client.search_runs([client.get_run(str(version.run_id)).info.experiment_id], nested)) == 6
    assert address not in capsys.readouterr().out
