"""Golden rows of a registered version, read from its metadata without its model."""

from collections.abc import Sequence
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from deployment.rollout.target import GoldenRowsDiffer
from scoring.golden import REQUEST, RESPONSE, as_rows


def golden_rows(client: MlflowClient, name: str, number: int) -> tuple[Sequence[Any], Sequence[Any]]:
    """Request records of a version and their predictions at registration.

    Raises:
        GoldenRowsDiffer: The version has none, or its files cannot be read.
    """
    version = client.get_model_version(name, str(number))
    try:
        metadata = mlflow.models.get_model_info(f"models:/{version.name}/{version.version}").metadata or {}
    except (MlflowException, OSError) as err:
        raise GoldenRowsDiffer(f"its golden rows cannot be read: {err}") from err
    if metadata.get(REQUEST) is None or metadata.get(RESPONSE) is None:
        raise GoldenRowsDiffer("it has no golden rows and responses")
    return as_rows(metadata[REQUEST]), as_rows(metadata[RESPONSE])
