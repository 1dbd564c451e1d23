"""`status`: the server and the versions that it serves, as a table or as JSON."""

import json
from dataclasses import asdict, dataclass, replace
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
    """Print the status, as a table or as JSON; below the table, each endpoint that does not serve its champion."""
    server = server_process.running(ServerSettings.of(settings))
    current = ServerStatus.of(server, _endpoints_of(server, settings) if server else [])
    if as_json:
        console.verbatim(current.to_json())
    elif server is None:
        console.detail("No model server is running")
    else:
        token = current.token_file or "MODEL_SERVER_TOKEN"
        console.detail(f"{server.url}  process {server.pid}  token in {token}")
        rows = [[e.name, e.ready, e.update, _traffic(e.versions), _champion(e)] for e in current.endpoints]
        console.table(["endpoint", "ready", "update", "versions", "champion"], rows)
        for endpoint in current.endpoints:
            if endpoint.rollout is not None:
                console.detail(f"{endpoint.name}: {endpoint.rollout}")
            elif endpoint.difference:
                console.detail(endpoint.difference)
        if any(endpoint.behind for endpoint in current.endpoints):
            console.detail("Update an endpoint: python -m deployment.run verify --use-case NAME --repair")


def _endpoints_of(server: ServerInfo, settings: Settings) -> "list[EndpointStatus]":
    from deployment.commands.serving import endpoints  # without a server, SDK and MLflow need not be loaded
    from deployment.commands.serving.champion_endpoint import champion_number
    from deployment.rollout.lease import progress_of
    from training.tracking import TrackingFailed, tracking

    statuses = endpoints.endpoints_of(endpoints.client_of(server))
    try:
        with tracking(settings) as registry:
            return [
                each.beside(champion_number(registry, each.model), progress_of(registry, each.model))
                if each.model
                else each
                for each in statuses
            ]
    except TrackingFailed as err:
        return [replace(each, difference=f"the champion is unknown: {err.failed}") for each in statuses]


def _champion(endpoint: "EndpointStatus") -> str:
    if endpoint.champion is None:
        return "none"
    return f"{endpoint.champion}{' (behind)' if endpoint.behind else ''}"


def _traffic(versions: dict[int, int]) -> str:
    return ", ".join(f"{version} ({share} %)" for version, share in versions.items())
