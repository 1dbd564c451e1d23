"""Status of the endpoints of a server. A separate module, since the SDK takes a second to import."""

from dataclasses import dataclass

from databricks.sdk import WorkspaceClient

from deployment.endpoints import endpoint_client
from deployment.model_server.http.auth import read_token
from deployment.model_server.process.server_process import ServerInfo


@dataclass(frozen=True)
class EndpointStatus:
    """One endpoint: readiness, state of the last update, and per cent of traffic by version."""

    name: str
    ready: str
    update: str
    versions: dict[int, int]


def client_of(server: ServerInfo) -> WorkspaceClient:
    """Client with the server's control token."""
    token = server.token or read_token(server.token_file, server.credentials)
    return endpoint_client.connect(server.url, token, server.authority)


def endpoints_of(client: WorkspaceClient) -> list[EndpointStatus]:
    """Status of every endpoint of a server, ordered by name.

    Raises:
        ServingRefused: The server rejects the token.
    """
    statuses = []
    for endpoint in endpoint_client.all_endpoints(client):
        name, state = endpoint.name or "", endpoint.state
        ready = state.ready.value if state and state.ready else "UNKNOWN"
        update = state.config_update.value if state and state.config_update else "UNKNOWN"
        statuses.append(EndpointStatus(name, ready, update, endpoint_client.served_versions(client, name)))
    return sorted(statuses, key=lambda endpoint: endpoint.name)
