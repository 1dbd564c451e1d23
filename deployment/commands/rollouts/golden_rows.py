"""Golden rows of a registered version, read from its metadata without its model."""

import tempfile
from collections.abc import Sequence
from typing import Any

import mlflow.artifacts
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.models.model import MLMODEL_FILE_NAME
from mlflow.tracking import MlflowClient

from deployment.rollout.outages import is_outage
from deployment.rollout.target import GoldenRowsDiffer
from scoring.golden import REQUEST, RESPONSE, as_rows


def golden_rows(client: MlflowClient, name: str, number: int) -> tuple[Sequence[Any], Sequence[Any]]:
    """Request records of a version and their predictions at registration.

    Raises:
        GoldenRowsDiffer: The version has none, or its files cannot be read.
        MlflowException, OSError: The registry does not respond, or the disk is full.
    """
    version = client.get_model_version(name, str(number))
    uri = f"models:/{version.name}/{version.version}/{MLMODEL_FILE_NAME}"
    try:
        with tempfile.TemporaryDirectory() as folder:
            metadata = (
                Model.load(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder)).metadata or {}
            )
    except (MlflowException, OSError) as err:
        if is_outage(err):
            raise
        raise GoldenRowsDiffer(f"its golden rows cannot be read: {err}") from err
    if metadata.get(REQUEST) is None or metadata.get(RESPONSE) is None:
        raise GoldenRowsDiffer("it has no golden rows and responses")
    return as_rows(metadata[REQUEST]), as_rows(metadata[RESPONSE])
