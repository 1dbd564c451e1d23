"""Every method of the SDK's serving API, the scoring client of MLflow, and the examples of the docs."""

import inspect
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import BadRequest, NotImplemented, PermissionDenied
from databricks.sdk.service.serving import (
    AiGatewayInferenceTableConfig,
    EndpointCoreConfigInput,
    ExternalFunctionRequestHttpMethod,
    PtEndpointCoreConfig,
    RateLimit,
    RateLimitRenewalPeriod,
    ServedEntityInput,
    ServingEndpointDetailedPermissionLevel,
    ServingEndpointPermissionLevel,
    ServingEndpointsAPI,
)

from deployment.endpoints import endpoint_client
from deployment.model_server.http.auth import read_token
from deployment.model_server.settings import ServerSettings
from lakehouse.settings import PROJECT

ROWS = [{"age": 50}, {"age": 20}]
SUPPORTED = {
    "build_logs", "create", "create_and_wait", "delete", "export_metrics", "get", "get_open_api",
    "get_permission_levels", "get_permissions", "list", "logs", "patch", "put_ai_gateway", "query", "update_config",
    "update_config_and_wait", "wait_get_serving_endpoint_not_updating",
}  # fmt: skip
UNSUPPORTED: dict[str, dict[str, Any]] = {
    "create_provisioned_throughput_endpoint": {"name": "x", "config": PtEndpointCoreConfig()},
    "http_request": {"conn": "x", "method": ExternalFunctionRequestHttpMethod.GET, "path": "/"},
    "put": {"name": "control", "rate_limits": [RateLimit(1, RateLimitRenewalPeriod.MINUTE)]},
    "set_permissions": {"serving_endpoint_id": "ID", "access_control_list": []},
    "update_notifications": {"name": "control"},
    "update_permissions": {"serving_endpoint_id": "ID", "access_control_list": []},
    "update_provisioned_throughput_endpoint_config": {"name": "control", "config": PtEndpointCoreConfig()},
}
WAITING = {
    "create_provisioned_throughput_endpoint_and_wait",
    "update_provisioned_throughput_endpoint_config_and_wait",
}


@pytest.fixture(scope="module")
def endpoint(client: WorkspaceClient) -> str:
    """The id of an endpoint that serves `term_deposit` version 1."""
    config = EndpointCoreConfigInput(name="control", served_entities=[entity("term_deposit")])
    created = client.serving_endpoints.create_and_wait("control", config=config)
    client.serving_endpoints.query("control", dataframe_records=ROWS)
    return str(created.id)


def entity(model: str) -> ServedEntityInput:
    return ServedEntityInput(entity_name=model, entity_version="1")


def test_every_method_of_the_sdk_is_supported_or_refused() -> None:
    methods = {name for name, _ in inspect.getmembers(ServingEndpointsAPI, inspect.isfunction) if name[0] != "_"}
    assert methods == SUPPORTED | set(UNSUPPORTED) | WAITING


@pytest.mark.parametrize("method", UNSUPPORTED)
def test_unsupported_operations_return_501(client: WorkspaceClient, endpoint: str, method: str) -> None:
    arguments = {name: endpoint if value == "ID" else value for name, value in UNSUPPORTED[method].items()}
    with pytest.raises(NotImplemented, match="is not supported by this server: "):
        getattr(client.serving_endpoints, method)(**arguments)


def test_the_sdk_exports_metrics_and_the_openapi_document(client: WorkspaceClient, endpoint: str) -> None:
    exported = client.serving_endpoints.export_metrics("control").contents
    assert exported is not None
    text = exported.read().decode()
    assert 'request_count_total{endpoint_name="control",served_entity_name="term_deposit-1"}' in text
    document = client.serving_endpoints.get_open_api("control").contents
    assert document is not None
    assert "/serving-endpoints/control/invocations" in json.loads(document.read())["paths"]


def test_the_ai_gateway_config_is_stored_and_returned(client: WorkspaceClient, endpoint: str) -> None:
    table = AiGatewayInferenceTableConfig("main", True, "logs", "control")
    assert client.serving_endpoints.put_ai_gateway("control", inference_table_config=table).as_dict() == {
        "inference_table_config": table.as_dict()
    }
    found = client.serving_endpoints.get("control").ai_gateway
    assert found and found.inference_table_config == table


def test_the_sdk_reads_permissions_and_levels(client: WorkspaceClient, endpoint: str) -> None:
    held = client.serving_endpoints.get_permissions(endpoint).access_control_list or []
    assert [each.service_principal_name for each in held] == ["control-token", "data-token"]
    levels = client.serving_endpoints.get_permission_levels(endpoint).permission_levels or []
    assert ServingEndpointPermissionLevel.CAN_QUERY in [each.permission_level for each in levels]


def test_the_data_token_queries_and_does_not_change(server: ServerSettings, endpoint: str) -> None:
    caller = endpoint_client.connect(server.url, read_token(server.data_token_file))
    assert caller.serving_endpoints.query("control", dataframe_records=ROWS).predictions
    found = caller.serving_endpoints.get("control")
    assert found.permission_level is ServingEndpointDetailedPermissionLevel.CAN_QUERY
    with pytest.raises(PermissionDenied, match="needs the control token"):
        caller.serving_endpoints.delete("control")


@pytest.fixture
def netrc(server: ServerSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A .netrc file with the data token, which `requests` reads."""
    file = tmp_path / "netrc"
    file.touch(mode=0o600)
    file.write_text(f"machine {server.host} login token password {read_token(server.data_token_file)}\n")
    monkeypatch.setenv("NETRC", str(file))


@pytest.mark.usefixtures("netrc")
def test_the_scoring_client_of_mlflow_works_unchanged(server: ServerSettings, client: WorkspaceClient) -> None:
    import mlflow
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient

    config = EndpointCoreConfigInput(name="scaled", served_entities=[entity("scaled")])
    client.serving_endpoints.create_and_wait("scaled", config=config)
    scoring = ScoringServerClient(server.host, f"{server.port}/serving-endpoints/scaled")  # type: ignore[no-untyped-call]
    scoring.wait_server_ready(timeout=10)  # type: ignore[no-untyped-call]
    assert scoring.get_version() == mlflow.__version__  # type: ignore[no-untyped-call]
    frame = pd.DataFrame({"amount": [1.5, 2.0], "state": ["BE", "BY"]})
    assert scoring.invoke(frame).get_predictions()[0].tolist() == [1.5, 2.0]
    assert scoring.invoke(frame, params={"factor": 2.0}).get_predictions()[0].tolist() == [3.0, 4.0]
    for params, says in (
        ({"factor": "two"}, "factor"),
        ({"other": 1}, "Unknown params other; the model takes factor"),
    ):
        with pytest.raises(Exception, match=f"error code 400.*{says}"):
            scoring.invoke(frame, params=params)
    with pytest.raises(BadRequest, match="needs a default endpoint"):
        client.api_client.do("POST", "/invocations", body={"instances": [1]})


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_examples_of_the_docs_run(server: ServerSettings, tmp_path: Path) -> None:
    page = (PROJECT / "docs" / "serving.md").read_text(encoding="utf-8")
    _, _, rest = page.partition("```bash\n# with curl\n")
    script, fence, _ = rest.partition("```")
    assert fence and script.count("\nask ") >= 5
    environment = {
        "HOST": server.url,
        "TOKEN": read_token(server.token_file),
        "DATA_TOKEN": read_token(server.data_token_file),
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
    }
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert '"predictions":[{"version":1,"probability":0.41}]' in ran.stdout
    assert '"config_update":"NOT_UPDATING"' in ran.stdout
    assert 'served_entity_name="term_deposit-1"' in ran.stdout
