"""`ask`: send the golden request to the endpoint; show request, response and the next commands."""

import json
from collections.abc import Sequence
from pathlib import Path

from databricks.sdk import WorkspaceClient

from deployment.commands.serving.detached import running
from deployment.commands.serving.endpoints import client_of
from deployment.commands.use_cases import load_to_serve
from deployment.endpoints import endpoint_client
from deployment.model_server.process.server_process import ServerInfo
from lakehouse import console
from lakehouse.settings import Settings
from training.use_case.use_case import UseCase


def ask(name: str, settings: Settings) -> None:
    """Send the use case's golden request; print request, response and the next commands.

    Raises:
        LakehouseError: No server is running, or the endpoint rejects the request.
    """
    if settings.home.runs_model_server:
        _ask_workspace(load_to_serve(name), settings)
        return
    use_case, server = load_to_serve(name), running(settings, name)
    client, endpoint = client_of(server), use_case.serving.endpoint
    served = endpoint_client.served_by(client, endpoint)
    if served is not None and served.models not in {(settings.registered_model(name),), ()}:
        raise endpoint_client.EndpointServesOtherModel.of(endpoint, list(served.models), name)
    url = f"{server.url}/serving-endpoints/{endpoint}/invocations"
    body = _send_golden_request(use_case, client, endpoint, url)
    version = max(endpoint_client.served_versions(client, endpoint))
    report = settings.reports / use_case.name / f"version-{version}.html"
    store = settings.tracking_uri.replace(f"sqlite:///{settings.project}/", "sqlite:///")
    console.stage("Next commands")
    console.verbatim(
        "  call the endpoint:",
        *("    " + line for line in curl(server, url, body, settings.project)),
        f"  try it in a browser: {server.url}/serving-endpoints/{endpoint}/try",
        f"  open the report:     {_relative(report, settings.project)}",
        f"  open the MLflow UI:  mlflow ui --backend-store-uri {store} --port 5000",
        "  show the server:     python -m deployment.run status",
        "  stop the server:     python -m deployment.run stop",
    )


def _ask_workspace(use_case: UseCase, settings: Settings) -> None:
    client, endpoint = endpoint_client.workspace(), settings.endpoint(use_case.serving.endpoint)
    _send_golden_request(use_case, client, endpoint, f"{client.config.host}/serving-endpoints/{endpoint}/invocations")


def _send_golden_request(use_case: UseCase, client: WorkspaceClient, endpoint: str, url: str) -> str:
    """Send the request and print both sides; return the body that was sent."""
    body = json.dumps({"dataframe_records": [use_case.golden_request]})
    predictions = endpoint_client.predict(client, endpoint, [use_case.golden_request])
    console.stage(f"POST {url}")
    console.data(body)
    console.stage("Response")
    console.data(json.dumps({"predictions": predictions}))
    return body


def curl(server: ServerInfo, url: str, body: str, project: Path) -> Sequence[str]:
    """Lines of a curl command for a shell in the project folder, with a reference to the token."""
    token = "$MODEL_SERVER_TOKEN" if server.token else f"$(cat {_relative(server.token_file, project)})"
    trust = f" --cacert {_relative(server.authority, project)}" if server.authority else ""
    return (
        f"curl -s{trust} {url} \\",
        f'  -H "Authorization: Bearer {token}" -H "Content-Type: application/json" \\',
        f"  -d '{body}'",
    )


def _relative(path: Path, project: Path) -> Path:
    return path.relative_to(project) if path.is_relative_to(project) else path
