"""`ask`: send the golden request to the endpoint, show both sides, and say what to try next."""

import json

from deployment import serving
from deployment.commands.endpoints import client_of
from deployment.commands.serve import running
from lakehouse import console
from lakehouse.settings import Settings
from training.use_case import load


def ask(name: str, settings: Settings) -> None:
    """Ask the use case's endpoint and print the request, the answer and the commands to go on.

    Raises:
        LakehouseError: no server runs, or the endpoint refuses.
    """
    use_case, server = load(name), running(settings)
    client, endpoint = client_of(server), use_case.serving.endpoint
    url = f"{server.url}/serving-endpoints/{endpoint}/invocations"
    body = json.dumps({"dataframe_records": [use_case.golden_request]})
    answers = serving.answer(client, endpoint, [use_case.golden_request])
    console.stage(f"POST {url}")
    console.data(body)
    console.stage("The endpoint answers")
    console.data(json.dumps({"predictions": answers}))
    version = max(serving.served_versions(client, endpoint))
    report = settings.reports / use_case.name / f"version-{version}.html"
    token = server.token_file.relative_to(settings.project)
    store = settings.tracking_uri.replace(f"sqlite:///{settings.project}/", "sqlite:///")
    console.stage("Go on")
    console.verbatim(
        "  call the endpoint:",
        f"    curl -s {url} \\",
        f'      -H "Authorization: Bearer $(cat {token})" -H "Content-Type: application/json" \\',
        f"      -d '{body}'",
        f"  open the report:     {report.relative_to(settings.project)}",
        f"  open the MLflow UI:  .venv/bin/mlflow ui --backend-store-uri {store} --port 5000",
        "  see what serves:     .venv/bin/python -m deployment.run status",
        "  stop the server:     .venv/bin/python -m deployment.run stop",
    )
