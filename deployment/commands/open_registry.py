"""The registry, as commands of deployment open it."""

from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.tracking import MlflowClient

from lakehouse.settings import Settings
from training.tracking import TrackingFailed, tracking


@contextmanager
def registry(settings: Settings) -> Iterator[MlflowClient]:
    """The registry, its failures told with what becomes of a command that met one.

    Raises:
        TrackingFailed: it cannot be reached or refuses.
    """
    try:
        with tracking(settings) as client:
            yield client
    except TrackingFailed as err:
        hint = "Start it or correct MLFLOW_TRACKING_URI, then run the command again: it finishes what was begun."
        raise TrackingFailed(err.failed, hint=hint) from err
