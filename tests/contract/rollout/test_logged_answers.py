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
from pyspark.errors import AnalysisException
from pyspark.sql import Catalog, DataFrame

from deployment.commands.rollouts.logged_answers import logged_answers
from deployment.rollout.findings import LoggedAnswers
from deployment.rollout.state import Phase, Rollout
from lakehouse import session
from lakehouse.errors import LakehouseError
from lakehouse.home import DATABRICKS
from lakehouse.session import open_session
from lakehouse.settings import Settings

INFERENCE_TABLE = "`main`.`logs`.`e_payload`"
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
    found = logged_answers(client(), settings, BAKING)
    assert (found.stable, found.new) == ([0.3, 0.1], [2.0, "red", "blue"])


def test_nothing_is_read_where_nothing_is_logged(settings: Settings) -> None:
    assert "e_payload does not exist yet" in logged_answers(client(), settings, BAKING).log
    write_deltalake(settings.warehouse / "logs" / "e_payload", pa.Table.from_pylist([row("m-5", [1.0])]))
    assert logged_answers(client(enabled=False), settings, BAKING) == LoggedAnswers()


class WorkspaceTables:
    """Session of a workspace: the inference table, and the system table with the random IDs of served entities."""

    def __init__(self, payload: DataFrame | None, entities: DataFrame) -> None:
        self.payload, self.entities = payload, entities
        self.catalog: Any = create_autospec(Catalog, instance=True)
        self.catalog.tableExists.side_effect = lambda name: name == INFERENCE_TABLE and payload is not None

    def table(self, name: str) -> DataFrame:
        if name == "system.serving.served_entities":
            return self.entities
        if name != INFERENCE_TABLE or self.payload is None:
            raise AnalysisException(f"[TABLE_OR_VIEW_NOT_FOUND] {name}")
        return self.payload


def test_answers_in_a_workspace_come_from_its_inference_table_by_the_ids_of_the_versions(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    spark = open_session()
    entities = spark.createDataFrame(
        [
            ("a1", "main.models.m", "2"),
            ("b1", "main.models.m", "5"),
            ("b2", "main.models.m", "5"),
            ("z", "x.y.m", "5"),
        ],
        "served_entity_id string, entity_name string, entity_version string",
    )
    logged = [
        row("a1", [{"probability": 0.3}]), row("b1", [{"probability": 0.6}]), row("b2", [{"probability": 0.7}]),
        row("b1", [{"probability": 0.9}], seconds=-1.0), row("b1", None, status=500), row("b1", "[]"),
        row("z", [{"probability": 0.1}]),
    ]  # fmt: skip
    payload = spark.createDataFrame(
        [(each["served_entity_id"], each["response"], each["status_code"], each["request_time"]) for each in logged],
        "served_entity_id string, response string, status_code int, request_time timestamp",
    ).selectExpr(
        "*", "to_date(request_time) as request_date", "5L as execution_duration_ms", "1.0D as sampling_fraction",
        "'{}' as request", "cast(null as string) as client_request_id",
    )  # fmt: skip
    workspace = replace(settings, home=DATABRICKS)
    baking = replace(BAKING, model="main.models.m")

    def answers(table: DataFrame | None, ids: DataFrame = entities) -> LoggedAnswers:
        monkeypatch.setattr(session, "workspace_session", lambda: WorkspaceTables(table, ids))
        return logged_answers(client(), workspace, baking)

    found = answers(payload)
    assert (found.stable, sorted(found.new, key=float)) == ([0.3], [0.6, 0.7])
    assert found.log == "a workspace logs requests up to an hour late"
    assert answers(None) == LoggedAnswers(
        log="the inference table main.logs.e_payload does not exist yet: a workspace logs requests up to an hour late"
    )
    assert answers(payload, entities.where("false")).new == [], "the system table does not know the version yet"
    with pytest.raises(LakehouseError, match="is no payload table"):
        answers(payload.drop("response"))
    with pytest.raises(LakehouseError, match=r"main.logs.e_payload cannot be read: .*no_such_column"):
        answers(payload.selectExpr("*", "no_such_column"))


def test_a_payload_table_that_cannot_be_read_is_told_of(settings: Settings) -> None:
    folder = settings.warehouse / "logs" / "e_payload" / "_delta_log"
    folder.mkdir(parents=True)
    (folder / "00000000000000000000.json").write_text("nonsense")
    with pytest.raises(LakehouseError, match="cannot be read"):
        logged_answers(client(), settings, BAKING)
