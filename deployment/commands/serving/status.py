"""`status`: the server and the versions that it serves, as a table or as JSON."""

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from deployment.model_server.process import server_process
from deployment.model_server.process.server_process import ServerInfo
from deployment.model_server.settings import ServerSettings
from lakehouse import console
from lakehouse.settings import Settings

if TYPE_CHECKING:
    from deployment.commands.serving.endpoints import EndpointStatus


@dataclass(frozen=True)
class ServerStatus:
    """Server of a checkout.

    Attributes:
        host, pid: None without a server.
        token_file: None without a server, or if the token is not in a file.
        endpoints: endpoints of the server.
    """

    host: str | None
    token_file: str | None
    pid: int | None
    endpoints: "tuple[EndpointStatus, ...]"

    @classmethod
    def of(cls, server: ServerInfo | None, endpoints: "list[EndpointStatus]") -> "ServerStatus":
        if server is None:
            return cls(None, None, None, ())
        token_file = None if server.token else str(server.token_file)
        return cls(server.url, token_file, server.pid, tuple(endpoints))

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2)


def show(settings: Settings, *, as_json: bool) -> None:
    """Print the status, as a table or as JSON."""
    server = server_process.running(ServerSettings.of(settings))
    current = ServerStatus.of(server, _endpoints_of(server) if server else [])
    if as_json:
        console.verbatim(current.to_json())
    elif server is None:
        console.detail("No model server is running")
    else:
        token = current.token_file or "MODEL_SERVER_TOKEN"
        console.detail(f"{server.url}  process {server.pid}  token in {token}")
        rows = [[e.name, e.ready, e.update, _traffic(e.versions)] for e in current.endpoints]
        console.table(["endpoint", "ready", "update", "versions"], rows)


def _endpoints_of(server: ServerInfo) -> "list[EndpointStatus]":
    from deployment.commands.serving import endpoints  # without a server, the SDK need not be loaded

    return endpoints.endpoints_of(endpoints.client_of(server))


def _traffic(versions: dict[int, int]) -> str:
    return ", ".join(f"{version} ({share} %)" for version, share in versions.items())
