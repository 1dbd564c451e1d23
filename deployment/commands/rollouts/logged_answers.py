"""Predictions of two versions, read from the payload table of the model server."""

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow.dataset as ds
from databricks.sdk import WorkspaceClient
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from deployment.endpoints.state import inference_table
from deployment.endpoints.waiting import find
from deployment.rollout.findings import Answers
from deployment.rollout.state import Rollout
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings

MOST_ROWS = 20_000  # of a bake; more say nothing new about a distribution


def logged_answers(client: WorkspaceClient, settings: Settings, rollout: Rollout) -> tuple[Answers, Answers]:
    """Predictions of the stable and of the new version since the start of the step.

    They are empty where the endpoint logs no requests, and in a workspace, whose table can be hours behind.

    Raises:
        LakehouseError: The payload table cannot be read.
    """
    endpoint = find(client, rollout.endpoint)
    table = inference_table(endpoint, rollout.endpoint)
    if endpoint is None or table is None or not table.enabled or settings.home.runs_model_server:
        return [], []
    folder = settings.warehouse / table.schema_name / table.payload
    if not (folder / "_delta_log").is_dir():
        return [], []
    names = {
        int(entity.entity_version or 0): entity.name
        for entity in (endpoint.config and endpoint.config.served_entities) or []
    }
    since = datetime.fromtimestamp(rollout.since, UTC)
    recent = (ds.field("request_time") >= since) & (ds.field("status_code") == 200)
    try:
        dataset = DeltaTable(str(folder)).to_pyarrow_dataset()
        rows = dataset.head(MOST_ROWS, columns=["served_entity_id", "response"], filter=recent).to_pylist()
    except (DeltaError, OSError) as err:
        raise LakehouseError(f"the payload table {folder} cannot be read: {err}") from err
    by_entity = {
        name: [row["response"] for row in rows if row["served_entity_id"] == name] for name in names.values()
    }
    stable, new = (
        [answer for response in by_entity.get(names.get(version or 0), []) for answer in _answers(response)]
        for version in (rollout.stable, rollout.version)
    )
    return stable, new


def _answers(response: str | None) -> list[float | str]:
    try:
        predictions = json.loads(response or "{}").get("predictions", [])
    except ValueError:
        return []
    return [_scalar(each) for each in predictions if each is not None]


def _scalar(prediction: Any) -> float | str:
    """The number that a prediction is about, or its class.

    >>> _scalar({"label": 1, "probability": 0.3}), _scalar(2), _scalar({"class": "red"})
    (0.3, 2.0, 'red')
    """
    if isinstance(prediction, dict):
        first = next(iter(prediction.values()), "")
        prediction = prediction.get("probability", prediction.get("prediction", first))
    if isinstance(prediction, int | float) and not isinstance(prediction, bool):
        return float(prediction)
    return str(prediction)
