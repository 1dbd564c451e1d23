"""The MLflow connection: address, experiments, and translation of its errors."""

import logging
import sys
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
from lakehouse.home import keeps_names_in_catalogs, tracking_home
from lakehouse.settings import Settings
from training.tracking.unity_catalog import UnityCatalogClient

RETRIES = 2


class TrackingFailed(LakehouseError):
    """The MLflow server does not respond, or refused a write."""

    @classmethod
    def at(cls, uri: str, reason: Exception) -> "TrackingFailed":
        return cls(
            f"MLflow at {uri} {cause(reason)}",
            hint="Start it or correct MLFLOW_TRACKING_URI. Finished trials are kept: the next training logs them,"
            " and --resume latest continues the search.",
        )


def cause(reason: BaseException) -> str:
    """The error; for a connection the system's message without the three layers around it."""
    deepest = reason
    while (inner := deepest.__cause__ or deepest.__context__) is not None:
        deepest = inner
    if isinstance(deepest, ConnectionError | gaierror) and deepest.strerror:
        return f"does not respond: {deepest.strerror}"
    return f"failed: {reason}"


@contextmanager
def tracking(settings: Settings) -> Iterator[MlflowClient]:
    """Connect to MLflow at the address of the settings, and translate its errors.

    Raises:
        TrackingFailed: the server cannot be reached or refuses a request.
    """
    _quiet()
    try:
        mlflow.set_tracking_uri(settings.tracking_uri)
        # Without it MLflow asks the Spark session on each call, and after Ctrl-C waits for it in vain.
        mlflow.set_registry_uri(settings.registry_uri)
        yield registry_client(settings)
    except _errors() as err:
        raise TrackingFailed.at(settings.tracking_uri, err) from err


def _errors() -> tuple[type[Exception], ...]:
    """Errors of MLflow, and those that reach us from its driver of a database, where it has imported one."""
    driver = sys.modules.get("sqlalchemy.exc")
    return MlflowException, RequestException, *((driver.SQLAlchemyError,) if driver else ())


def registry_client(settings: Settings) -> MlflowClient:
    """Client that finds the model of a use case by the use case's name, in every registry."""
    return UnityCatalogClient(settings) if keeps_names_in_catalogs(settings.registry_uri) else MlflowClient()


def _quiet() -> None:
    # Hides a line for each table of a new database, a bar for each file and an address for each trial.
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # It logs each error of a database with its trace; `tracking` translates the error.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    # It misses pip, which an environment of uv does not have, and no model of ours needs.
    logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.set(False)  # type: ignore[no-untyped-call]
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT.set(True)  # type: ignore[no-untyped-call]
    if not MLFLOW_HTTP_REQUEST_MAX_RETRIES.is_set():  # type: ignore[no-untyped-call]
        # MLflow's default of 7, with doubling pauses, takes two minutes without output.
        MLFLOW_HTTP_REQUEST_MAX_RETRIES.set(RETRIES)  # type: ignore[no-untyped-call]


def experiment_id(client: MlflowClient, settings: Settings, use_case: str) -> str:
    """Id of the use case's experiment; it is created if it is missing."""
    folder = tracking_home(settings.tracking_uri).experiment_folder
    name = settings.experiment or folder + settings.name_prefix + use_case
    experiment = client.get_experiment_by_name(name)
    if experiment is not None:
        return str(experiment.experiment_id)
    # A database stores no files: without a location MLflow would use the working directory.
    location = settings.artifacts.as_uri() if settings.tracking_uri.startswith("sqlite") else None
    return str(client.create_experiment(name, artifact_location=location))
