"""A run's report on a real MLflow: logged beside the model, beside the champion, and no danger to the version."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from lakehouse.settings import Settings
from scoring.scorer import Answering, Scorer
from tests.contract.databases import new_database
from tests.contract.people import mlflow_as_before
from tests.unit.frames import ENCODER, alternating, by_time
from training import report
from training.frame import splits
from training.frame.frame import TrainingFrame
from training.frame.provenance import Provenance, provenance
from training.frame.splits import Split
from training.registry import model_files
from training.registry.versions import CHAMPION
from training.report.champion_outcomes import find
from training.report.publication import ReportFailed
from training.search.fitting import fit
from training.search.result import SearchResult
from training.search.trial import Trial, run_trial
from training.space.joint_space import Candidate
from training.tracking import experiment_id, tracking
from training.use_case.use_case import UseCase, load

WINNER = Candidate(
    "logistic_regression",
    {
        "inverse_regularization": 0.5,
        "penalty": "l2",
        "numeric_shape": "as_is",
        "class_weight": None,
        "recency_half_life_days": None,
    },
)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("project")
    return replace(Settings.from_environment({"MLFLOW_TRACKING_URI": new_database(folder)}), project=folder)


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[MlflowClient]:
    with mlflow_as_before(), tracking(settings) as ours:
        yield ours


@pytest.fixture(scope="module")
def use_case() -> UseCase:
    known = load("term_deposit")
    return known.model_copy(
        update={
            "split": known.split.model_copy(update={"folds": 2}),
            "golden_request": {"amount": 1.0, "place": "Bonn", "known": None},
        }
    )


@pytest.fixture(scope="module")
def run(use_case: UseCase, settings: Settings, client: MlflowClient) -> report.TrainedRun:
    data = splits.split(alternating(400), by_time(holdout=0.25))
    trial = run_trial(1, WINNER, list(splits.folds(data.training, by_time(folds=2), 0)), 0, 0.2)
    return registered(use_case, data, trial, settings, client)


def registered(
    use_case: UseCase, data: Split, trial: Trial, settings: Settings, client: MlflowClient
) -> report.TrainedRun:
    scorer = Scorer(fit(WINNER, data.training, 0), ENCODER, Answering(("label", "probability"), 0.2))
    with mlflow.start_run(experiment_id=experiment_id(client, settings, use_case.name)):
        about = provenance(data, by_time(), None)
        version = model_files.register_version(use_case, scorer, SearchResult((trial,), "complete"), about, {})
    return report.TrainedRun(use_case, [trial], scorer, data, version)


def test_the_page_lies_in_the_project_and_beside_the_model(
    run: report.TrainedRun, client: MlflowClient, settings: Settings
) -> None:
    published = report.write(run, client, settings)
    assert published.failures == {}
    assert published.path == settings.reports / "term_deposit" / f"version-{run.version.version}.html"
    copy = mlflow.artifacts.download_artifacts(published.uri)
    assert Path(copy).read_text() == published.path.read_text()
    assert "There is no champion yet" in published.path.read_text()


def pinned(run: report.TrainedRun, holdout: TrainingFrame) -> Provenance:
    """The provenance of a version that was judged on these rows."""
    return provenance(Split(run.data.training, holdout), by_time(), None)


def test_the_champion_is_asked_about_the_same_rows(run: report.TrainedRun, client: MlflowClient) -> None:
    name, holdout = run.use_case.name, run.data.holdout
    assert find(client, name, holdout, pinned(run, holdout)) is None
    client.set_registered_model_alias(name, CHAMPION, run.version.version)
    rival = find(client, name, holdout, pinned(run, holdout))
    assert rival is not None and rival.outcomes is not None
    assert rival.outcomes.predicted.tolist() == run.scorer.predicted(holdout.features).tolist()
    assert rival.remark == ""
    older = alternating(300)
    seen = find(client, name, older, pinned(run, older))
    assert seen is not None and "may have seen a part of this holdout" in seen.remark
    narrower = replace(holdout, features={"amount": holdout.features["amount"]})
    lacking = find(client, name, narrower, pinned(run, narrower))
    assert lacking is not None and lacking.outcomes is None
    assert "lack: known, known_is_missing, place_index" in lacking.remark
    client.delete_registered_model_alias(name, CHAMPION)


def test_a_champion_that_cannot_be_loaded_is_told(run: report.TrainedRun, client: MlflowClient) -> None:
    client.create_registered_model("gone")
    client.create_model_version("gone", source="file:///nowhere")
    client.set_registered_model_alias("gone", CHAMPION, "1")
    rival = find(client, "gone", run.data.holdout, pinned(run, run.data.holdout))
    assert rival is not None and rival.outcomes is None
    assert rival.remark.startswith("It could not be loaded: ")


def test_a_report_that_cannot_be_written_leaves_the_version_and_says_what_failed(
    run: report.TrainedRun, client: MlflowClient, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "reports").write_text("a file where the folder must be")
    with pytest.raises(ReportFailed, match=r"term_deposit version \d+ is registered, but its report could not be"):
        report.write(run, client, replace(settings, project=tmp_path))
    kept = client.get_model_version_by_alias("term_deposit", "challenger")
    assert (kept.version, kept.status) == (run.version.version, "READY")


def test_a_tracking_server_that_is_gone_is_told(
    run: report.TrainedRun, client: MlflowClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise MlflowException("the server is gone")

    monkeypatch.setattr(client, "log_artifact", gone)
    with pytest.raises(ReportFailed, match="the server is gone"):
        report.write(run, client, settings)
