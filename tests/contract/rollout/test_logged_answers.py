"""Predictions of two versions in the payload table of the model server."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import pyarrow as pa
import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.mixins.open_ai_client import ServingEndpointsExt
from databricks.sdk.service.serving import ServingEndpointDetailed
from deltalake import write_deltalake

from deployment.commands.rollouts.logged_answers import logged_answers
from deployment.rollout.state import Phase, Rollout
from lakehouse.errors import LakehouseError
from lakehouse.home import DATABRICKS
from lakehouse.settings import Settings

SINCE = 1_800_000_000.0
BAKING = Rollout("r", "m", "e", 5, 2, (10,), 600.0, phase=Phase.BAKING, step=0, since=SINCE)


def client(*, enabled: bool = True) -> Any:
    found: Any = create_autospec(WorkspaceClient, instance=True)
    found.serving_endpoints = create_autospec(ServingEndpointsExt, instance=True)
    entities = [{"name": f"m-{version}", "entity_version": str(version)} for version in (2, 5)]
    table = {"catalog_name": "main", "schema_name": "logs", "table_name_prefix": "e", "enabled": enabled}
    found.serving_endpoints.get.return_value = ServingEndpointDetailed.from_dict(
        {"config": {"served_entities": entities}, "ai_gateway": {"inference_table_config": table}}
    )
    return found


def row(entity: str, response: Any, status: int = 200, seconds: float = 1.0) -> dict[str, Any]:
    text = response if isinstance(response, str) else json.dumps({"predictions": response})
    at = datetime.fromtimestamp(SINCE + seconds, UTC)
    return {"served_entity_id": entity, "response": text, "status_code": status, "request_time": at}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path, tmp_path, None, "unused", "unused", "")


def test_answers_since_the_bake_began_are_read_by_version(settings: Settings) -> None:
    rows = [
        row("m-2", [{"label": 1, "probability": 0.3}, {"label": 0, "probability": 0.1}]),
        row("m-5", [2, "red", {"class": "blue"}, None]),
        row("m-5", [9.0], seconds=-1.0),
        row("m-5", [9.0], status=500),
        row("m-5", "no JSON"),
        row("m-1", [9.0]),
    ]
    write_deltalake(settings.warehouse / "logs" / "e_payload", pa.Table.from_pylist(rows))
    assert logged_answers(client(), settings, BAKING) == ([0.3, 0.1], [2.0, "red", "blue"])


def test_nothing_is_read_where_nothing_is_logged(settings: Settings) -> None:
    assert logged_answers(client(), settings, BAKING) == ([], []), "no table yet"
    write_deltalake(settings.warehouse / "logs" / "e_payload", pa.Table.from_pylist([row("m-5", [1.0])]))
    assert logged_answers(client(enabled=False), settings, BAKING) == ([], [])
    assert logged_answers(client(), replace(settings, home=DATABRICKS), BAKING) == ([], [])


def test_a_payload_table_that_cannot_be_read_is_told_of(settings: Settings) -> None:
    folder = settings.warehouse / "logs" / "e_payload" / "_delta_log"
    folder.mkdir(parents=True)
    (folder / "00000000000000000000.json").write_text("nonsense")
    with pytest.raises(LakehouseError, match="cannot be read"):
        logged_answers(client(), settings, BAKING)
