"""Publication of a report on a real MLflow: logged with the model; a failure leaves the version unchanged."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from lakehouse.settings import Settings
from scoring.scorer import ResponseFormat, Scorer
from tests.contract.databases import new_database
from tests.contract.people import mlflow_restored
from tests.unit.frames import ENCODER, alternating, by_time
from training import report
from training.frame import splits
from training.frame.frame import TrainingFrame
from training.frame.provenance import Provenance, provenance
from training.frame.splits import Split
from training.registry import registration
from training.registry.versions import CHAMPION
from training.report.champion_outcomes import score_champion
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
    with mlflow_restored(), tracking(settings) as ours:
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
    scorer = Scorer(fit(WINNER, data.training, 0), ENCODER, ResponseFormat(("label", "probability"), 0.2))
    with mlflow.start_run(experiment_id=experiment_id(client, settings, use_case.name)):
        about = provenance(data, by_time(), None)
        version = registration.register_version(
            MlflowClient(), use_case, scorer, SearchResult((trial,), "complete"), about, {}
        )
    return report.TrainedRun(use_case, [trial], scorer, data, version)


def test_page_is_written_to_disk_and_logged_to_mlflow(
    run: report.TrainedRun, client: MlflowClient, settings: Settings
) -> None:
    published = report.write(run, client, settings)
    assert published.failures == {}
    assert published.path == settings.reports / "term_deposit" / f"version-{run.version.version}.html"
    copy = mlflow.artifacts.download_artifacts(published.uri)
    assert Path(copy).read_text() == published.path.read_text()
    assert "There is no champion yet." in published.path.read_text()


def pinned(run: report.TrainedRun, holdout: TrainingFrame) -> Provenance:
    """Provenance of a version with this holdout."""
    return provenance(Split(run.data.training, holdout), by_time(), None)


def test_champion_predicts_the_same_holdout(run: report.TrainedRun, client: MlflowClient) -> None:
    name, holdout = run.use_case.name, run.data.holdout
    assert score_champion(client, name, holdout, pinned(run, holdout)) is None
    client.set_registered_model_alias(name, CHAMPION, run.version.version)
    champion = score_champion(client, name, holdout, pinned(run, holdout))
    assert champion is not None and champion.outcomes is not None
    assert champion.outcomes.predicted.tolist() == run.scorer.predict(holdout.features).tolist()
    assert champion.remark == ""
    older = alternating(300)
    unfair = score_champion(client, name, older, pinned(run, older))
    assert unfair is not None and "may have seen a part of this holdout" in unfair.remark
    narrower = replace(holdout, features={"amount": holdout.features["amount"]})
    lacking = score_champion(client, name, narrower, pinned(run, narrower))
    assert lacking is not None and lacking.outcomes is None
    assert "lack: known, known_is_missing, place_index" in lacking.remark
    client.delete_registered_model_alias(name, CHAMPION)


def test_a_champion_that_cannot_be_loaded_has_a_remark(run: report.TrainedRun, client: MlflowClient) -> None:
    client.create_registered_model("gone")
    client.create_model_version("gone", source="file:///nowhere")
    client.set_registered_model_alias("gone", CHAMPION, "1")
    champion = score_champion(client, "gone", run.data.holdout, pinned(run, run.data.holdout))
    assert champion is not None and champion.outcomes is None
    assert champion.remark.startswith("it could not be loaded: ")


def test_an_unwritable_report_raises_and_keeps_the_version(
    run: report.TrainedRun, client: MlflowClient, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "reports").write_text("a file where the folder must be")
    with pytest.raises(ReportFailed, match=r"term_deposit version \d+ is registered, but its report could not be"):
        report.write(run, client, replace(settings, project=tmp_path))
    kept = client.get_model_version_by_alias("term_deposit", "challenger")
    assert (kept.version, kept.status) == (run.version.version, "READY")


def test_an_unavailable_tracking_server_raises(
    run: report.TrainedRun, client: MlflowClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(*_: object) -> None:
        raise MlflowException("the server is gone")

    monkeypatch.setattr(client, "log_artifact", unavailable)
    with pytest.raises(ReportFailed, match="the server is gone"):
        report.write(run, client, settings)
