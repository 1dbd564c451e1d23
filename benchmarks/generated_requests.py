"""10,000 generated requests against a real server: accepted, refused and failed requests."""

import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import click
import mlflow
from hypothesis import HealthCheck, given, settings
from hypothesis import seed as seeded

from deployment.endpoints import endpoint_client
from deployment.model_server.http.auth import read_token
from deployment.model_server.process import server_process
from deployment.model_server.settings import ServerSettings
from lakehouse import console
from lakehouse.errors import LakehouseError
from lakehouse.settings import PROJECT, ServerAccess
from tests.ports import free_port
from tests.unit.model_server.generated_requests import Generated, requests_of, row_schema
from tests.unit.model_server.test_generated_requests import EXAMPLE, SCORER
from training.registry.signature import requirements, signature

ENDPOINT = "generated"
SCORE = f"/serving-endpoints/{ENDPOINT}/invocations"
SECONDS = 10  # a response that takes longer counts as a hang


@click.command()
@click.option("--requests", default=10_000, help="Number of requests.")
@click.option("--seed", default=0, help="Seed of the generated requests.")
def main(requests: int, seed: int) -> None:
    """Send requests generated from an endpoint's OpenAPI document, and count responses by kind and status."""
    with tempfile.TemporaryDirectory() as folder, _server(Path(folder)) as (server, schema):
        began = time.perf_counter()
        counts, slowest = _send(server, schema, requests, seed)
        took = time.perf_counter() - began
    rows = [[kind, str(status), f"{count:,}"] for (kind, status), count in sorted(counts.items())]
    console.table(["request", "status", "responses"], rows)
    failed = sum(count for (_, status), count in counts.items() if status >= 500)
    console.detail(
        f"{sum(counts.values()):,} requests in {took:.0f} s, {failed} failed; slowest {slowest * 1000:.0f} ms"
    )
    if failed:
        raise LakehouseError(f"{failed} requests failed with a server error", hint="The server log has the cause.")


@contextmanager
def _server(folder: Path) -> Iterator[tuple[ServerSettings, Any]]:
    uri = f"sqlite:///{folder}/mlflow.db"
    _register(uri, folder)
    server = ServerSettings(
        PROJECT, folder / ".serving", uri, port=free_port(), serving=ServerAccess(allow_unverified=True)
    )
    server_process.serve_detached(server)
    try:
        client = endpoint_client.connect(server.url, read_token(server.token_file))
        endpoint_client.deploy(client, ENDPOINT, "generated", 1)
        yield server, row_schema(client.api_client.do("GET", f"/serving-endpoints/{ENDPOINT}/openapi"), SCORE)
    finally:
        server_process.stop(server)


def _register(uri: str, folder: Path) -> None:
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("generated", (folder / "artifacts").as_uri()))
    (folder / "scorer").mkdir()
    mlflow.pyfunc.log_model(
        name="generated",
        python_model=str(PROJECT / "scoring" / "served_model.py"),
        artifacts=SCORER.save(folder / "scorer"),
        signature=signature(SCORER),
        pip_requirements=requirements(SCORER),
        metadata={"golden_request": EXAMPLE},
        registered_model_name="generated",
    )


def _send(server: ServerSettings, schema: Any, requests: int, seed: int) -> tuple[Counter[tuple[str, int]], float]:
    counts: Counter[tuple[str, int]] = Counter()
    slowest = 0.0
    headers = {"authorization": f"Bearer {read_token(server.data_token_file)}"}
    with closing(HTTPConnection(server.host, server.port, timeout=SECONDS)) as connection:

        @settings(max_examples=requests, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(requests_of(schema))
        def send(request: Generated) -> None:
            nonlocal slowest
            began = time.perf_counter()
            content_type = request.content_type.encode()
            connection.request("POST", SCORE, request.body, {**headers, "content-type": content_type})
            response = connection.getresponse()
            response.read()
            slowest = max(slowest, time.perf_counter() - began)
            counts[request.kind, response.status] += 1

        seeded(seed)(send)()
    return counts, slowest


if __name__ == "__main__":
    console.run_command(main)
