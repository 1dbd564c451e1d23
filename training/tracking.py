"""Every run and trial in MLflow; what it costs is one write a trial."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import mlflow
from mlflow.entities import Metric, Param, RunTag
from mlflow.environment_variables import MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from requests import RequestException

from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings
from training.search.trial import Trial


class TrackingFailed(LakehouseError):
    """The MLflow server is not there, or refused a write."""

    @classmethod
    def at(cls, uri: str, reason: Exception) -> "TrackingFailed":
        return cls(
            f"MLflow at {uri} failed: {reason}",
            hint="Start it or correct MLFLOW_TRACKING_URI. Trials logged so far are kept; the next run begins anew.",
        )


@contextmanager
def tracking(settings: Settings) -> Iterator[MlflowClient]:
    """MLflow at the settings' address, its errors told as ours.

    Raises:
        TrackingFailed: the server cannot be reached or refuses.
    """
    _quiet()
    try:
        mlflow.set_tracking_uri(settings.tracking_uri)
        # Said outright, or MLflow asks the Spark session each time, and after Ctrl-C waits for it in vain.
        mlflow.set_registry_uri(settings.registry_uri)
        yield MlflowClient()
    except (MlflowException, RequestException) as err:
        raise TrackingFailed.at(settings.tracking_uri, err) from err


def _quiet() -> None:
    # What is left is what a person must know: no line for each table of a new database, no bar for each file.
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.set(False)  # type: ignore[no-untyped-call]


def experiment_id(client: MlflowClient, settings: Settings, name: str) -> str:
    """The experiment of that name, made where it is missing."""
    if settings.tracking_uri.startswith("databricks"):
        name = f"/Shared/{name}"  # a workspace keeps experiments under paths
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    # A database alone has no place for files, and would take the working directory.
    place = settings.artifacts.as_uri() if settings.tracking_uri.startswith("sqlite") else None
    return str(client.create_experiment(name, artifact_location=place))


def log_trial(client: MlflowClient, parent: mlflow.ActiveRun, trial: Trial) -> None:
    """The trial as a run nested in `parent`, under a name that MLflow gives, written in one batch."""
    info = parent.info
    begin = int(time.time() * 1000 - trial.duration.total_seconds() * 1000)
    run = client.create_run(info.experiment_id, start_time=begin, tags={MLFLOW_PARENT_RUN_ID: info.run_id})
    end = int(time.time() * 1000)
    values = trial.metrics | {"duration_s": trial.duration.total_seconds()}
    metrics = [Metric(name, value, end, 0) for name, value in values.items()]
    metrics += [
        Metric(f"fold_{name}", value, end, step)
        for step, fold in enumerate(trial.per_fold, start=1)
        for name, value in fold.items()
    ]
    params = {"family": trial.candidate.family, **trial.candidate.params}
    tags = {"trial": str(trial.number)} | ({} if trial.error is None else {"error": trial.error[:5000]})
    client.log_batch(
        run.info.run_id,
        metrics=metrics,
        params=[Param(name, str(value)) for name, value in params.items()],
        tags=[RunTag(name, value) for name, value in tags.items()],
    )
    client.set_terminated(run.info.run_id, "FINISHED" if trial.error is None else "FAILED", end_time=end)
