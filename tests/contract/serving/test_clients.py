"""Unchanged clients of Databricks and MLflow against the model server."""

import json
from contextlib import closing
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import (
    BadRequest,
    InvalidParameterValue,
    NotFound,
    ResourceAlreadyExists,
    ResourceConflict,
)
from databricks.sdk.errors.platform import PermissionDenied
from databricks.sdk.service.serving import (
    DataframeSplitInput,
    EndpointCoreConfigInput,
    EndpointStateConfigUpdate,
    EndpointStateReady,
    EndpointTag,
    Route,
    ServedEntityInput,
    ServedModelStateDeployment,
    TrafficConfig,
)

from deployment.model_server.http.auth import read_token
from deployment.model_server.settings import ServerSettings

ROWS = [{"age": 50}, {"age": 20}]


def entity(version: int, model: str = "term_deposit") -> ServedEntityInput:
    return ServedEntityInput(
        entity_name=model, entity_version=str(version), workload_size="Small", scale_to_zero_enabled=True
    )


@pytest.fixture
def workspace(server: ServerSettings, monkeypatch: pytest.MonkeyPatch) -> WorkspaceClient:
    """The SDK client, configured as in its documentation."""
    monkeypatch.setenv("DATABRICKS_HOST", server.url)
    monkeypatch.setenv("DATABRICKS_TOKEN", read_token(server.token_file))
    return WorkspaceClient()


def test_the_sdk_creates_updates_queries_and_deletes(workspace: WorkspaceClient) -> None:
    endpoints = workspace.serving_endpoints
    config = EndpointCoreConfigInput(name="sdk", served_entities=[entity(1)])
    created = endpoints.create_and_wait(
        "sdk", config=config, description="calls", tags=[EndpointTag("team", "risk")], timeout=timedelta(seconds=60)
    )
    assert created.state and created.state.ready is EndpointStateReady.READY
    assert created.config and created.config.config_version == 1 and created.config.served_entities
    served = created.config.served_entities[0]
    assert (served.name, served.entity_version, served.workload_size) == ("term_deposit-1", "1", "Small")
    assert served.state and served.state.deployment is ServedModelStateDeployment.DEPLOYMENT_READY
    assert (created.description, created.tags) == ("calls", [EndpointTag("team", "risk")])
    assert [endpoint.name for endpoint in endpoints.list()].count("sdk") == 1

    response = endpoints.query("sdk", dataframe_records=ROWS)
    assert response.predictions == [{"version": 1, "probability": 0.5}, {"version": 1, "probability": 0.2}]
    assert response.served_model_name == "term_deposit-1"
    split = DataframeSplitInput(columns=["age"], data=[[50]])
    assert endpoints.query("sdk", dataframe_split=split).predictions == response.predictions[:1]
    assert endpoints.query("sdk", instances=ROWS).predictions == response.predictions
    assert endpoints.query("sdk", inputs={"age": [50, 20]}).predictions == response.predictions

    routes = [Route(0, served_entity_name="term_deposit-1"), Route(100, served_model_name="term_deposit-2")]
    updated = endpoints.update_config_and_wait(
        "sdk", served_entities=[entity(1), entity(2)], traffic_config=TrafficConfig(routes=routes)
    )
    assert updated.config and updated.config.config_version == 2
    assert endpoints.query("sdk", dataframe_records=ROWS).served_model_name == "term_deposit-2"
    assert "DEPLOYMENT_READY" in endpoints.logs("sdk", "term_deposit-2").logs
    assert endpoints.build_logs("sdk", "term_deposit-1").logs
    assert endpoints.patch("sdk", add_tags=[EndpointTag("a", "b")], delete_tags=["team"]).tags == [
        EndpointTag("a", "b")
    ]

    endpoints.delete("sdk")
    with pytest.raises(NotFound):
        endpoints.get("sdk")


def test_errors_become_the_exception_classes_of_the_sdk(client: WorkspaceClient, server: ServerSettings) -> None:
    endpoints = client.serving_endpoints
    config = EndpointCoreConfigInput(name="errors", served_entities=[entity(1)])
    endpoints.create("errors", config=config)
    with pytest.raises(ResourceAlreadyExists, match="'errors' already exists"):
        endpoints.create("errors", config=config)
    with pytest.raises(InvalidParameterValue, match="a name has"):
        endpoints.create("e r", config=config)
    with pytest.raises(NotFound, match="Did you mean 'errors'"):
        endpoints.query("error", dataframe_records=ROWS)
    # While the endpoint loads, the server responds with 503, which the SDK retries.
    with pytest.raises(BadRequest, match="row 1, field 'age'"):
        endpoints.query("errors", dataframe_records=[{"age": 1}, {"age": "1"}])
    stranger = WorkspaceClient(host=server.url, token="x" * 43, auth_type="pat")
    with pytest.raises(PermissionDenied, match="Invalid access token"):
        list(stranger.serving_endpoints.list())


def test_a_second_update_is_refused_until_the_first_ends(client: WorkspaceClient, awaited: Path) -> None:
    endpoints = client.serving_endpoints
    config = EndpointCoreConfigInput(name="busy", served_entities=[entity(1)])
    endpoints.create_and_wait("busy", config=config)
    awaited.unlink(missing_ok=True)
    waiter = endpoints.update_config("busy", served_entities=[entity(1, "slow")])
    try:
        with pytest.raises(ResourceConflict, match="only one update runs at a time"):
            endpoints.update_config("busy", served_entities=[entity(2)])
        found = endpoints.get("busy")
        assert found.state and found.state.config_update is EndpointStateConfigUpdate.IN_PROGRESS
        assert found.pending_config and found.pending_config.start_time
        assert endpoints.query("busy", dataframe_records=ROWS).served_model_name == "term_deposit-1"
    finally:
        awaited.touch()
    assert waiter.result(timeout=timedelta(seconds=30)).config
    assert endpoints.query("busy", dataframe_records=ROWS).served_model_name == "slow-1"


def test_any_pyfunc_is_served_by_its_signature(client: WorkspaceClient) -> None:
    config = EndpointCoreConfigInput(name="plain", served_entities=[entity(1, "plain")])
    client.serving_endpoints.create_and_wait("plain", config=config)
    rows = [{"amount": 3, "state": "BE"}, {"amount": 2.5, "state": None}]
    response = client.serving_endpoints.query("plain", dataframe_records=rows)
    assert response.predictions == [{"doubled": 6.0, "state": "BE"}, {"doubled": 5.0, "state": None}]
    wrong: list[tuple[Any, str]] = [
        ([{"amount": "three", "state": "BE"}], "signature"),
        ([{"state": "BE"}], "Model is missing inputs .*amount"),
        ([{"amount": 1}, {"amount": 1, "state": "BE"}], "row 1, field 'state'"),
        ([{"amount": [1, 2], "state": "BE"}], "signature|failed on this request"),
        ([{"amount": {}, "state": "BE"}], "signature|failed on this request"),
    ]
    for rows, says in wrong:
        with pytest.raises(BadRequest, match=says):
            client.serving_endpoints.query("plain", dataframe_records=rows)
    with pytest.raises(BadRequest):
        client.serving_endpoints.query("plain", instances=[[1, 2], [3]])


def test_the_mlflow_deployments_client_manages_and_queries_an_endpoint(
    server: ServerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.deployments import get_deploy_client
    from requests import HTTPError

    monkeypatch.setenv("DATABRICKS_HOST", server.url)
    monkeypatch.setenv("DATABRICKS_TOKEN", read_token(server.token_file))
    deployments = get_deploy_client("databricks")  # type: ignore[no-untyped-call]
    served = {"entity_name": "term_deposit", "entity_version": "1"}
    created = deployments.create_endpoint(config={"name": "mlflow", "config": {"served_entities": [served]}})
    assert created["state"]["ready"] == "NOT_READY"
    assert "mlflow" in [endpoint["name"] for endpoint in deployments.list_endpoints()]
    # The client retries the 503 while the endpoint loads.
    response = deployments.predict(endpoint="mlflow", inputs={"dataframe_records": ROWS})
    assert [row["probability"] for row in response.predictions] == [0.5, 0.2]
    with pytest.raises(HTTPError, match="row 0, field 'age'"):
        deployments.predict(endpoint="mlflow", inputs={"dataframe_records": [{"age": None}]})
    updated = deployments.update_endpoint_config("mlflow", {"served_entities": [served | {"entity_version": "2"}]})
    assert updated["state"]["config_update"] == "IN_PROGRESS"
    assert deployments.get_endpoint("mlflow")["config"]["served_entities"]
    assert deployments.update_endpoint_tags("mlflow", {"add_tags": [{"key": "a", "value": "b"}]}).tags
    deployments.delete_endpoint("mlflow")
    assert "mlflow" not in [endpoint["name"] for endpoint in deployments.list_endpoints()]


@pytest.mark.parametrize(
    ("token", "path", "status"), [("wrong", "sdk", 403), ("", "nowhere", 404), ("", "large", 413)]
)
def test_an_error_reaches_a_client_that_is_still_sending(
    server: ServerSettings, client: WorkspaceClient, token: str, path: str, status: int
) -> None:
    if path == "large":
        config = EndpointCoreConfigInput(name=path, served_entities=[entity(1)])
        client.serving_endpoints.create_and_wait(path, config=config)
    headers = {
        "authorization": f"Bearer {token or read_token(server.token_file)}",
        "content-type": "application/json",
    }
    connection = HTTPConnection(server.host, server.port, timeout=20)
    with closing(connection):
        connection.request("POST", f"/serving-endpoints/{path}/invocations", b" " * 10_000_000, headers)
        response = connection.getresponse()
        assert (response.status, "message" in json.loads(response.read())) == (status, True)
