"""Trials in MLflow: none is lost in any failure, and a resumed search equals an uninterrupted one."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import mlflow
import pytest
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from requests import ConnectionError as Unreachable

from lakehouse.settings import Settings
from tests.contract.databases import new_database
from tests.contract.people import mlflow_restored
from tests.ports import free_port
from tests.unit.search.attempts import scored, smooth
from training.search import running
from training.search.result import SearchResult
from training.search.trial import Trial, TrialSpec
from training.space.joint_space import Candidate
from training.tracking import TrackingFailed, experiment_id, tracking
from training.tracking.searches import (
    NothingToResume,
    find_unfinished,
    finished_trials,
    log_leaderboard,
    log_left_behind,
    search_run,
    trial_log,
)
from training.tracking.trials import trials_of
from training.tracking.unlogged_trials import Header, RunInUse, TrialJournal
from training.use_case.search import SearchPlan

SEED = 5
PLAN = SearchPlan.model_validate({"families": ["logistic_regression", "knn"], "max_evals": 24, "seed": SEED})
IDENTITY = {"space": PLAN.joint_space().fingerprint(), "rows": "before"}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("tracking")
    uri = new_database(folder)
    return Settings(folder, folder, None, uri, uri, "")


@pytest.fixture
def client(settings: Settings) -> Iterator[MlflowClient]:
    with mlflow_restored(), tracking(settings) as ours:
        yield ours


@pytest.fixture
def experiment(client: MlflowClient, settings: Settings, request: pytest.FixtureRequest) -> str:
    return experiment_id(client, settings, request.node.name)


def attempt(spec: TrialSpec) -> Trial:
    if spec.number % 5 == 0:
        return Trial(spec.number, spec.candidate, {}, (), scored(spec, 0).duration, "ValueError: no")
    return scored(spec, smooth(spec))


def searched(
    client: MlflowClient,
    settings: Settings,
    experiment: str,
    run_trial: Callable[[TrialSpec], Trial] = attempt,
    resumed: Run | None = None,
) -> tuple[SearchResult, Run]:
    with search_run(client, experiment, IDENTITY, resumed, settings) as run:
        with trial_log(client, run, settings, SEED) as log:
            result = running.run_plan(PLAN, run_trial, log.add, settings, finished_trials(client, resumed))
        log_leaderboard(client, run, result.trials, PLAN.metric)
        if result.stop_reason == "interrupted":
            raise KeyboardInterrupt
    return result, run


def test_an_interrupted_search_is_resumed_from_mlflow_with_the_same_result(
    client: MlflowClient, settings: Settings, experiment: str
) -> None:
    complete = running.run_plan(PLAN, attempt, lambda _trial: None, settings)

    def interrupting(spec: TrialSpec) -> Trial:
        if spec.number == 22:
            raise KeyboardInterrupt
        return attempt(spec)

    with pytest.raises(KeyboardInterrupt):
        searched(client, settings, experiment, interrupting)
    run = find_unfinished(client, experiment, "people", "latest")
    assert run.info.status == "KILLED"
    assert list(finished_trials(client, run).values()) == list(complete.trials[:21])
    ran: list[int] = []

    def counting(spec: TrialSpec) -> Trial:
        ran.append(spec.number)
        return attempt(spec)

    resumed, again = searched(client, settings, experiment, counting, run)
    assert ran == [22, 23, 24]
    assert again.info.run_id == run.info.run_id
    assert resumed == complete
    assert resumed.best("roc_auc") == complete.best("roc_auc")
    assert trials_of(client, again) == list(complete.trials)
    assert client.get_run(run.info.run_id).info.status == "FINISHED"
    with pytest.raises(NothingToResume, match="is finished"):
        find_unfinished(client, experiment, "people", run.info.run_id)
    with pytest.raises(NothingToResume, match="people has no interrupted search"):
        find_unfinished(client, experiment, "people", "latest")
    with pytest.raises(NothingToResume, match="is not a search of people"):
        find_unfinished(client, experiment, "people", "another")
    check_logged(client, run)


def check_logged(client: MlflowClient, parent: Run) -> None:
    nested = client.search_runs([parent.info.experiment_id], f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
    logged = {int(run.data.tags["trial"]): run for run in nested}
    assert sorted(logged) == list(range(1, 25))
    assert len({run.info.run_name for run in nested}) == 24
    assert logged[5].info.status == "FAILED"
    assert logged[5].data.tags["error"] == "ValueError: no"
    done = next(run for run in nested if run.data.params["family"] == "knn" and run.info.status == "FINISHED")
    assert 5 <= int(done.data.params["n_neighbors"]) <= 500
    assert done.data.params["weights"] in {"uniform", "distance"}
    assert done.data.params["seed"] == str(SEED)
    assert {"roc_auc", "fold_roc_auc", "duration_s"} <= set(done.data.metrics)
    assert done.data.tags.get("mlflow.source.git.commit") == parent.data.tags.get("mlflow.source.git.commit")
    board = mlflow.artifacts.load_dict(f"runs:/{parent.info.run_id}/leaderboard.json")
    rows = [dict(zip(board["columns"], row, strict=True)) for row in board["data"]]
    assert rows[0]["roc_auc"] == max(row["roc_auc"] for row in rows if row["status"] == "ok")


def test_a_changed_search_is_not_resumed_and_the_change_is_named(
    client: MlflowClient, settings: Settings, experiment: str
) -> None:
    with pytest.raises(KeyboardInterrupt), search_run(client, experiment, IDENTITY, None, settings):
        raise KeyboardInterrupt
    run = find_unfinished(client, experiment, "people", "latest")
    changed = pytest.raises(NothingToResume, match=r"changed since the search of run \w+: rows\n")
    with changed, search_run(client, experiment, IDENTITY | {"rows": "after"}, run, settings):
        pass


class Flaky:
    """A client whose server is down for some of the writes."""

    def __init__(self, client: MlflowClient, down: Callable[[int], bool]) -> None:
        self.client, self.down, self.writes = client, down, 0

    def __getattr__(self, name: str) -> Any:
        method: Callable[..., Any] = getattr(self.client, name)
        if not name.startswith(("create_", "log_", "set_")):
            return method

        def write(*arguments: Any, **named: Any) -> Any:
            self.writes += 1
            if self.down(self.writes):
                raise Unreachable("nobody listens")
            return method(*arguments, **named)

        return write


def trials(count: int) -> Mapping[int, Trial]:
    return {number: scored(TrialSpec(number, Candidate("knn", {"n": number})), 0.5) for number in range(1, count + 1)}


# A trial takes three writes: the first creates its run, the second logs metrics and params.
@pytest.mark.parametrize("down", [range(2, 4), range(4, 9)], ids=["within a trial", "between two"])
def test_trials_are_logged_once_after_mlflow_was_down(
    client: MlflowClient, settings: Settings, experiment: str, down: range
) -> None:
    flaky = Flaky(client, down.__contains__)
    with (
        search_run(client, experiment, IDENTITY, None, settings) as run,
        trial_log(cast(MlflowClient, flaky), run, settings, 0) as log,
    ):
        for trial in trials(8).values():
            log.add(trial)
    assert flaky.writes > 8 * 3
    assert trials_of(client, run) == list(trials(8).values())
    nested = f"tags.mlflow.parentRunId = '{run.info.run_id}'"
    assert len(client.search_runs([experiment], nested)) == 8
    assert not list(settings.journals.iterdir())


def test_the_next_training_logs_the_trials_if_mlflow_stays_down(
    client: MlflowClient, settings: Settings, experiment: str
) -> None:
    flaky = cast(MlflowClient, Flaky(client, lambda write: write > 4))
    with pytest.raises(TrackingFailed, match=r"nobody listens\n.*--resume latest continues"), tracking(settings):
        run = client.create_run(experiment, tags={"search.space": IDENTITY["space"]})
        with trial_log(flaky, run, settings, 3) as log:
            for trial in trials(4).values():
                log.add(trial)
    assert f"trials are kept in {settings.journals}" in str(log.warning())
    assert log.warning() is None  # only once
    assert len(list(settings.journals.iterdir())) == 1
    log_left_behind(client, settings)
    assert not list(settings.journals.iterdir())
    assert find_unfinished(client, experiment, "people", "latest").info.status == "KILLED"
    assert finished_trials(client, client.get_run(run.info.run_id)) == trials(4)


def test_the_trials_of_a_killed_process_are_logged_by_the_next_one(
    client: MlflowClient, settings: Settings, experiment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = client.create_run(experiment, tags={"search.space": IDENTITY["space"]})
    journal = TrialJournal.open(settings.journals, Header(settings.tracking_uri, run.info.run_id, 3))
    for trial in trials(2).values():
        journal.add(trial)
    with pytest.raises(RunInUse, match="is being searched by another process"):
        TrialJournal.open(settings.journals, journal.header)
    log_left_behind(client, settings)  # skips journals in use
    assert finished_trials(client, run) == {}
    journal.close(delete=False)
    with journal.path.open("a", encoding="utf-8") as file:
        file.write('{"number": 3, "fam')
    log_left_behind(client, settings)
    assert "logged 2 trials of run " in capsys.readouterr().out
    assert finished_trials(client, client.get_run(run.info.run_id)) == trials(2)
    assert client.get_run(run.info.run_id).info.status == "KILLED"


def test_the_trials_of_a_deleted_run_are_dropped_with_a_message(
    client: MlflowClient, settings: Settings, experiment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = client.create_run(experiment)
    TrialJournal.open(settings.journals, Header(settings.tracking_uri, run.info.run_id, 3)).close(delete=False)
    client.delete_run(run.info.run_id)
    log_left_behind(client, settings)
    assert "are dropped: the run was deleted" in capsys.readouterr().out


def test_an_unexpected_error_while_logging_is_raised(
    client: MlflowClient, settings: Settings, experiment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("no such thing")

    monkeypatch.setattr("training.tracking.trials.log_trial", broken)
    run = client.create_run(experiment)
    with pytest.raises(KeyError, match="no such thing"), trial_log(client, run, settings, 0) as log:
        log.add(trials(1)[1])
    (journal,) = settings.journals.iterdir()
    journal.unlink()


def test_an_unreachable_server_is_reported_with_its_address(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    address = f"http://127.0.0.1:{free_port()}"
    away = replace(settings, project=tmp_path, tracking_uri=address, registry_uri=address)
    refused = pytest.raises(TrackingFailed, match=rf"MLflow at {address} does not respond: Connection refused\n")
    with mlflow_restored(), refused as error, tracking(away) as client:
        experiment_id(client, away, "people")
    assert isinstance(error.value.__cause__, MlflowException)
    assert "correct MLFLOW_TRACKING_URI" in str(error.value)
