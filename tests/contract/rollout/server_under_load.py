"""A server under load, and rollouts on it: requests are sent until a block ends, and their responses counted."""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from databricks.sdk import WorkspaceClient

from deployment.commands.rollouts.open_rollout import RolloutOptions, carry_out
from deployment.endpoints import endpoint_client
from deployment.gate.gate import Gate
from deployment.model_server.http.auth import read_token
from deployment.model_server.process import server_process
from deployment.model_server.settings import ServerSettings
from deployment.rollout.state import Rollout
from lakehouse.settings import PROJECT
from tests.contract.rollout.golden_versions import NAME, RECORD, RolloutRegistry, promote
from tests.ports import free_port

PLAN = {
    "steps": [50], "bake_minutes": 0.06, "warm_up_seconds": 2.5, "min_requests": 60, "poll_seconds": 0.2,
    "max_extensions": 100,
}  # fmt: skip


@contextmanager
def server_of(registry: RolloutRegistry) -> Iterator[ServerSettings]:
    """A server on the versions of the registry, until the block ends."""
    settings = ServerSettings(PROJECT, registry.root / ".serving", registry.uri, port=free_port())
    server_process.serve_detached(settings)
    try:
        yield settings
    finally:
        server_process.stop(settings)


@dataclass
class Load:
    """Requests over one connection, until the block ends; the responses are counted by status and served entity.

    A request without a response is sent again, and so is one that a server refuses while it loads its versions (503
    with `Retry-After`). More connections would start more processes of a version while it is watched.
    """

    settings: ServerSettings
    responses: Counter[tuple[int, str]] = field(default_factory=Counter)
    repeated: int = 0
    _ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Load":
        self._thread = threading.Thread(target=self._send)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def failed(self) -> set[str]:
        """Served entities of the failed requests; empty for a request that reached none, or was sent again."""
        again = {""} if self.repeated else set[str]()
        return again | self.refused()

    def refused(self) -> set[str]:
        """Served entities of the responses that were no prediction."""
        return {served for (status, served) in self.responses if status != 200}

    def _send(self) -> None:
        path = f"/serving-endpoints/{NAME}/invocations"
        headers = {
            "authorization": f"Bearer {read_token(self.settings.data_token_file)}",
            "content-type": "application/json",
        }  # fmt: skip
        body, connection = json.dumps({"dataframe_records": [RECORD]}), self._connection()
        while not self._ended.is_set():
            try:
                connection.request("POST", path, body, headers)
                response = connection.getresponse()
                response.read()
                again = response.status == 503 and response.headers.get("retry-after")
            except (OSError, http.client.HTTPException):
                connection.close()
                connection, again = self._connection(), "at once"
            if again:
                self.repeated += 1
                time.sleep(0.05)
            else:
                self.responses[response.status, response.headers.get("served-model-name", "")] += 1
        connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.settings.host, self.settings.port, timeout=60)


def roll_out(
    gate: Gate,
    registry: RolloutRegistry,
    client: WorkspaceClient,
    version: int,
    then: Callable[[str], object] = lambda _line: None,
) -> tuple[Rollout, list[str]]:
    promote(gate, version)
    lines: list[str] = []

    def tell(line: str) -> None:
        lines.append(line)
        then(line)

    ended = carry_out(gate, registry.settings, RolloutOptions(tell=tell), client)
    assert ended is not None
    return ended, lines


def state(gate: Gate, client: WorkspaceClient) -> dict[str, Any]:
    """Traffic, champion, aliases and tags."""
    model = gate.client.get_registered_model(NAME)
    stages = {
        int(each.version): each.tags.get("stage") for each in gate.client.search_model_versions(f"name='{NAME}'")
    }
    return {
        "traffic": endpoint_client.served_versions(client, NAME),
        "champion": int(model.aliases["champion"]),
        "production": [version for version, stage in stages.items() if stage == "Production"],
        "ledger": gate.ledger.entries(NAME)[-1].to_version,
        "left": sorted(tag for tag in model.tags if tag.startswith("rollout")),
    }


def at(version: int) -> dict[str, Any]:
    return {
        "traffic": {version: 100}, "champion": version, "production": [version], "ledger": version, "left": [],
    }  # fmt: skip
