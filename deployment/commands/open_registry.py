"""Model registry, as the deployment commands open it."""

from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.tracking import MlflowClient

from lakehouse.settings import Settings
from training.tracking import TrackingFailed, tracking


@contextmanager
def registry(settings: Settings) -> Iterator[MlflowClient]:
    """Open the registry; its errors get a hint that the command can be repeated.

    Raises:
        TrackingFailed: The registry cannot be reached, or rejects a request.
    """
    try:
        with tracking(settings) as client:
            yield client
    except TrackingFailed as err:
        hint = "Start it or fix MLFLOW_TRACKING_URI, then run the command again to complete it."
        raise TrackingFailed(err.failed, hint=hint) from err
