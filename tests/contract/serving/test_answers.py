"""Answers of a real server: the version that they name, and what they never show."""

import json
import threading
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from deployment.model_server.clock import SYSTEM
from deployment.model_server.http.auth import read_token
from deployment.model_server.settings import ServerSettings

ROOT = "/api/2.0/serving-endpoints"
ROWS = {"dataframe_records": [{"age": 50}]}


def call(server: ServerSettings, method: str, path: str, body: Any = None) -> tuple[int, str]:
    """Status and text of the response to a request with the control token."""
    headers = {"authorization": f"Bearer {read_token(server.token_file)}", "content-type": "application/json"}
    connection = HTTPConnection(server.host, server.port, timeout=60)
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text


def serving(model: str, version: int, name: str = "x") -> dict[str, Any]:
    return {"served_entities": [{"entity_name": model, "entity_version": str(version), "name": name}]}


def settled(server: ServerSettings, name: str) -> dict[str, Any]:
    """The endpoint after its update has ended."""
    while True:
        endpoint: dict[str, Any] = json.loads(call(server, "GET", f"{ROOT}/{name}")[1])
        if endpoint["state"]["config_update"] != "IN_PROGRESS":
            return endpoint
        SYSTEM.sleep(0.02)


def test_metrics_name_the_version_that_answered_across_a_swap(server: ServerSettings, awaited: Path) -> None:
    gate = awaited.with_name(awaited.name + ".respond")
    arrived = gate.with_name(gate.name + ".asked")
    for file in (gate, arrived):
        file.unlink(missing_ok=True)
    call(server, "POST", ROOT, {"name": "swap", "config": serving("waiting", 1)})
    settled(server, "swap")
    answers: list[tuple[int, str]] = []
    asking = threading.Thread(
        target=lambda: answers.append(call(server, "POST", "/serving-endpoints/swap/invocations", ROWS))
    )
    asking.start()
    try:
        while not arrived.exists():
            SYSTEM.sleep(0.01)
        call(server, "PUT", f"{ROOT}/swap/config", serving("term_deposit", 2))
        assert settled(server, "swap")["config"]["served_entities"][0]["entity_version"] == "2"
    finally:
        gate.touch()
        asking.join(20)
    assert [status for status, _ in answers] == [200]
    counts = [line for line in call(server, "GET", "/metrics")[1].splitlines() if 'endpoint="swap"' in line]
    counted = [line for line in counts if line.startswith("model_server_request_seconds_count")]
    assert len(counted) == 1 and 'version="1"' in counted[0], counted
