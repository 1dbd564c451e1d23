"""Predictions of two versions, read from the payload table of the model server or of a workspace."""

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
from databricks.sdk import WorkspaceClient
from databricks.sdk.service.serving import ServingEndpointDetailed
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from deployment.endpoints.state import inference_table
from deployment.endpoints.waiting import find
from deployment.model_server.endpoints.ai_gateway import InferenceTable
from deployment.rollout.findings import LoggedAnswers
from deployment.rollout.state import Rollout
from lakehouse.errors import LakehouseError, first_line
from lakehouse.settings import Settings
from lakehouse.tables.warehouse import quoted_name

MOST_ROWS = 20_000  # of each version in a bake; more say nothing new about a distribution
LATE = "a workspace logs requests up to an hour late"


def logged_answers(client: WorkspaceClient, settings: Settings, rollout: Rollout) -> LoggedAnswers:
    """Predictions of the stable and of the new version since the start of the step.

    There are none where the endpoint logs no requests.

    Raises:
        LakehouseError: The payload table cannot be read.
    """
    endpoint = find(client, rollout.endpoint)
    table = inference_table(endpoint, rollout.endpoint)
    if endpoint is None or table is None or not table.enabled:
        return LoggedAnswers()
    read = _of_workspace if settings.home.runs_model_server else _of_model_server
    return read(endpoint, table, settings, rollout)


def _of_model_server(
    endpoint: ServingEndpointDetailed, table: InferenceTable, settings: Settings, rollout: Rollout
) -> LoggedAnswers:
    folder = settings.warehouse / table.schema_name / table.payload
    if not (folder / "_delta_log").is_dir():
        return LoggedAnswers(log=f"the payload table {folder} does not exist yet")
    names = {
        int(entity.entity_version or 0): entity.name
        for entity in (endpoint.config and endpoint.config.served_entities) or []
    }
    since = ds.field("request_time") >= datetime.fromtimestamp(rollout.since, UTC)
    try:
        dataset = DeltaTable(str(folder)).to_pyarrow_dataset()

        def responses(version: int | None) -> list[str | None]:
            served = ds.field("served_entity_id") == names.get(version or 0, "")
            rows: pa.Table = dataset.head(
                MOST_ROWS, columns=["response"], filter=since & served & (ds.field("status_code") == 200)
            )
            return [row["response"] for row in rows.to_pylist()]

        stable, new = (_predictions(responses(version)) for version in (rollout.stable, rollout.version))
    except (DeltaError, OSError) as err:
        raise LakehouseError(f"the payload table {folder} cannot be read: {err}") from err
    return LoggedAnswers(stable, new, f"the payload table is {folder}")


def _of_workspace(
    _endpoint: ServingEndpointDetailed, table: InferenceTable, _settings: Settings, rollout: Rollout
) -> LoggedAnswers:
    from pyspark.errors import PySparkException
    from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)

    from deployment.monitoring.payload import exchanges
    from deployment.monitoring.version import workspace_ids
    from lakehouse.session import workspace_session

    try:
        session = workspace_session()
        name = quoted_name(*table.table.split("."))
        if not session.catalog.tableExists(name):
            return LoggedAnswers(log=f"the inference table {table.table} does not exist yet: {LATE}")
        rows = exchanges(session.table(name), table.table, datetime.fromtimestamp(rollout.since, UTC))

        def responses(version: int | None) -> list[str | None]:
            ids = sorted(workspace_ids(session, rollout.model, version or 0))
            answered = rows.where((F.col("status") == 200) & F.col("served").isin(ids))
            return [row["response"] for row in answered.select("response").limit(MOST_ROWS).collect()]

        stable, new = (_predictions(responses(version)) for version in (rollout.stable, rollout.version))
    except PySparkException as err:
        raise LakehouseError(f"the inference table {table.table} cannot be read: {first_line(err)}") from err
    return LoggedAnswers(stable, new, LATE)


def _predictions(responses: list[str | None]) -> list[float | str]:
    return [answer for response in responses for answer in _answers(response)]


def _answers(response: str | None) -> list[float | str]:
    """Predictions of a response; none if it has another form."""
    try:
        found = json.loads(response or "{}")
    except ValueError:
        return []
    predictions = found.get("predictions") if isinstance(found, dict) else None
    if not isinstance(predictions, list):
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
