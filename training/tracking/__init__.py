"""MLflow: where runs are, and how its errors are told. What runs and trials say there is in the modules beside."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from socket import gaierror

import mlflow
from mlflow.environment_variables import (
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR,
    MLFLOW_HTTP_REQUEST_MAX_RETRIES,
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT,
)
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from requests import RequestException

from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings

RETRIES = 2


class TrackingFailed(LakehouseError):
    """The MLflow server is not there, or refused a write."""

    @classmethod
    def at(cls, uri: str, reason: Exception) -> "TrackingFailed":
        return cls(
            f"MLflow at {uri} {_told(reason)}",
            hint="Start it or correct MLFLOW_TRACKING_URI. Trials that were run are kept: the next training logs them"
            " and --resume latest goes on.",
        )


def _told(reason: BaseException) -> str:
    """What went wrong in words; of a connection what the system says, and not the three layers around it."""
    deepest = reason
    while (inner := deepest.__cause__ or deepest.__context__) is not None:
        deepest = inner
    if isinstance(deepest, ConnectionError | gaierror) and deepest.strerror:
        return f"does not answer: {deepest.strerror}"
    return f"failed: {reason}"


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
    # What is left is what a person must know: no line for each table of a new database, no bar for each file, no
    # address for each trial.
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.set(False)  # type: ignore[no-untyped-call]
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT.set(True)  # type: ignore[no-untyped-call]
    if not MLFLOW_HTTP_REQUEST_MAX_RETRIES.is_set():  # type: ignore[no-untyped-call]
        # Its own 7, each after twice the time of the one before, are two minutes in which nothing is said.
        MLFLOW_HTTP_REQUEST_MAX_RETRIES.set(RETRIES)  # type: ignore[no-untyped-call]


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
