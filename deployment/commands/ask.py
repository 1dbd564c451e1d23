"""`ask`: send the golden request to the endpoint, show both sides, and say what to try next."""

import json
from collections.abc import Sequence
from pathlib import Path

from deployment.commands.endpoints import client_of
from deployment.commands.serve import running
from deployment.endpoints import endpoint_client
from deployment.model_server.process.server_process import ServerInfo
from lakehouse import console
from lakehouse.settings import Settings
from training.use_case.use_case import load


def ask(name: str, settings: Settings) -> None:
    """Ask the use case's endpoint and print the request, the answer and the commands to go on.

    Raises:
        LakehouseError: no server runs, or the endpoint refuses.
    """
    use_case, server = load(name), running(settings)
    client, endpoint = client_of(server), use_case.serving.endpoint
    url = f"{server.url}/serving-endpoints/{endpoint}/invocations"
    body = json.dumps({"dataframe_records": [use_case.golden_request]})
    answers = endpoint_client.answer(client, endpoint, [use_case.golden_request])
    console.stage(f"POST {url}")
    console.data(body)
    console.stage("The endpoint answers")
    console.data(json.dumps({"predictions": answers}))
    version = max(endpoint_client.served_versions(client, endpoint))
    report = settings.reports / use_case.name / f"version-{version}.html"
    store = settings.tracking_uri.replace(f"sqlite:///{settings.project}/", "sqlite:///")
    console.stage("Go on")
    console.verbatim(
        "  call the endpoint:",
        *("    " + line for line in curl(server, url, body, settings.project)),
        f"  open the report:     {_short(report, settings.project)}",
        f"  open the MLflow UI:  .venv/bin/mlflow ui --backend-store-uri {store} --port 5000",
        "  see what serves:     .venv/bin/python -m deployment.run status",
        "  stop the server:     .venv/bin/python -m deployment.run stop",
    )


def curl(server: ServerInfo, url: str, body: str, project: Path) -> Sequence[str]:
    """The lines of a command that asks the server from a shell in the project, with its token wherever that is."""
    token = "$MODEL_SERVER_TOKEN" if server.token else f"$(cat {_short(server.token_file, project)})"
    trusting = f" --cacert {_short(server.authority, project)}" if server.authority else ""
    return (
        f"curl -s{trusting} {url} \\",
        f'  -H "Authorization: Bearer {token}" -H "Content-Type: application/json" \\',
        f"  -d '{body}'",
    )


def _short(path: Path, project: Path) -> Path:
    return path.relative_to(project) if path.is_relative_to(project) else path
