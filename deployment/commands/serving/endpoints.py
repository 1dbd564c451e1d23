"""Status of the endpoints of a server. A separate module, since the SDK takes a second to import."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from databricks.sdk import WorkspaceClient

from deployment.endpoints import endpoint_client
from deployment.endpoints.state import Served
from deployment.endpoints.state import served as served_of
from deployment.endpoints.waiting import find
from deployment.model_server.http.auth import read_token
from deployment.model_server.process.server_process import ServerInfo

if TYPE_CHECKING:  # it imports MLflow
    from deployment.rollout.progress import RolloutProgress


@dataclass(frozen=True)
class EndpointStatus:
    """One endpoint.

    Attributes:
        ready, update: readiness, and state of the last update; DELETED and empty if it no longer exists.
        versions: per cent of traffic by version.
        model: model that it serves; empty before the first one.
        champion: champion of the model; None without one, or if it was not compared.
        difference: difference between served versions and champion; empty if the champion gets traffic.
        rollout: progress of the rollout of its model; None without one.
    """

    name: str
    ready: str
    update: str
    versions: dict[int, int]
    model: str = ""
    champion: int | None = None
    difference: str = ""
    rollout: "RolloutProgress | None" = None

    @property
    def behind(self) -> bool:
        """True if the champion gets no traffic, and no rollout is in progress."""
        return self.champion is not None and bool(self.difference) and self.rollout is None

    @classmethod
    def deleted(cls, name: str, model: str) -> "EndpointStatus":
        """An endpoint that no longer exists."""
        return cls(name, "DELETED", "", {}, model)

    def beside(self, champion: int | None, rollout: "RolloutProgress | None" = None) -> "EndpointStatus":
        """The status with the champion of its model, and the rollout."""
        served = Served(self.name, (self.model,) if self.model else (), self.versions)
        difference = served.difference(self.model, champion)
        return replace(self, champion=champion, difference=difference, rollout=rollout)


def client_of(server: ServerInfo) -> WorkspaceClient:
    """Client with the server's control token."""
    token = server.token or read_token(server.token_file, server.credentials)
    return endpoint_client.connect(server.url, token, server.authority)


def endpoints_of(client: WorkspaceClient) -> list[EndpointStatus]:
    """Status of every endpoint of a server, ordered by name.

    Raises:
        ServingRefused: The server rejects the token.
    """
    names = sorted(endpoint.name or "" for endpoint in endpoint_client.all_endpoints(client))
    return [status for name in names if (status := endpoint_of(client, name)) is not None]


def endpoint_of(client: WorkspaceClient, name: str) -> EndpointStatus | None:
    """Status of an endpoint; None without one.

    Raises:
        ServingRefused, ServingUnreachable: The server rejects the token, or does not respond.
    """
    with endpoint_client.translated_errors(client, name):
        endpoint = find(client, name)
    if endpoint is None:
        return None
    state, served = endpoint.state, served_of(endpoint)
    ready = state.ready.value if state and state.ready else "UNKNOWN"
    update = state.config_update.value if state and state.config_update else "UNKNOWN"
    return EndpointStatus(name, ready, update, served.traffic, ", ".join(served.models))
