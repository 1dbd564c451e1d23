"""A real server with workers: they predict requests of many rows, and answer as the server itself does."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient

from deployment.endpoints import endpoint_client
from deployment.model_server.http.auth import read_token
from deployment.model_server.models.contract_model import WORKER_ROWS
from deployment.model_server.process import server_process
from deployment.model_server.settings import ServerSettings
from lakehouse.settings import PROJECT
from tests.contract.databases import new_database
from tests.contract.people import mlflow_restored
from tests.contract.serving.test_deploying import becomes_true
from tests.contract.serving.test_foreign_code import Calls, register
from tests.ports import free_port

MANY: list[dict[str, Any]] = [
    {"amount": row / 10, "place": ("Bonn", "Celle", None)[row % 3], "known": (row, None)[row % 2]}
    for row in range(40)
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerSettings]:
    folder = tmp_path_factory.mktemp("workers")
    uri = new_database(folder)
    with mlflow_restored():
        register(folder, uri, "shipped", None)
    settings = ServerSettings(PROJECT, folder / ".serving", uri, port=free_port(), workers=2)
    server_process.serve_detached(settings)
    yield settings
    server_process.stop(settings)


@pytest.fixture(scope="module")
def client(server: ServerSettings) -> WorkspaceClient:
    client = endpoint_client.connect(server.url, read_token(server.token_file))
    endpoint_client.deploy(client, "e", "shipped", 1)
    return client


def test_requests_of_many_rows_get_the_answers_of_single_rows(
    client: WorkspaceClient, server: ServerSettings
) -> None:
    """The workers share endpoints, metrics and log with the server, since only the server has them."""
    single = [endpoint_client.predict(client, "e", [record])[0] for record in MANY]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: endpoint_client.predict(client, "e", MANY), range(24)))
    assert answers == [single] * 24
    calls = Calls(server, "e")
    assert becomes_true(lambda: calls.metric("model_server_model_processes") == 2, 60)
    assert calls.metric("model_server_request_seconds_count") == len(MANY) + 24
    assert calls.metric("model_server_requests_in_flight") == 0


def test_refusals_are_those_of_the_server(client: WorkspaceClient) -> None:
    wrong = [*MANY[:WORKER_ROWS], MANY[0] | {"amount": "much"}]
    with pytest.raises(endpoint_client.ServingRefused, match=rf"row {WORKER_ROWS}, field 'amount': expected double"):
        endpoint_client.predict(client, "e", wrong)


def test_an_update_reaches_the_workers(client: WorkspaceClient, server: ServerSettings) -> None:
    before = {path for path in Path("/proc").glob("[0-9]*") if _is_worker(path, server)}
    assert before
    client.serving_endpoints.delete("e")
    assert becomes_true(lambda: not any(_is_worker(path, server) for path in before), 30)
    endpoint_client.deploy(client, "e", "shipped", 1)
    assert len(endpoint_client.predict(client, "e", MANY)) == len(MANY)


def _is_worker(process: Path, server: ServerSettings) -> bool:
    """True for a model process below the server's own process."""
    running = server_process.running(server)
    try:
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        command = (process / "cmdline").read_bytes()
        parent = Path(f"/proc/{fields[1]}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return running is not None and b"models.model_process" in command and int(parent[1]) == running.pid
