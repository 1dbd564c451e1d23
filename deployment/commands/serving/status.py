"""`status`: the server or workspace, the versions that it serves, and rollouts, as a table or as JSON."""

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
    """Server of a checkout, or a workspace.

    Attributes:
        host, pid: None without a server; a workspace has no process here.
        token_file: None without a server, or if the token is not in a file.
        endpoints: endpoints of the server; of a workspace those of the use cases.
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
    """Print the status, as a table or as JSON; below the table, each endpoint that does not serve its champion.

    Raises:
        LakehouseError: The server or the workspace does not respond, or rejects the token.
    """
    current = _of_workspace(settings) if settings.home.runs_model_server else _of_server(settings)
    if as_json:
        console.verbatim(current.to_json())
        return
    if current.host is None:
        console.detail("No model server is running")
        return
    token = f"  token in {current.token_file or 'MODEL_SERVER_TOKEN'}" if current.pid else ""
    console.detail(f"{current.host}{f'  process {current.pid}' if current.pid else ''}{token}")
    if not current.endpoints and settings.home.runs_model_server:
        console.detail("It has no endpoint of a use case. Create one: python -m deployment.run serve --use-case NAME")
        return
    rows = [[e.name, e.ready, e.update, _traffic(e.versions), _champion(e)] for e in current.endpoints]
    console.table(["endpoint", "ready", "update", "versions", "champion"], rows)
    for endpoint in current.endpoints:
        if endpoint.rollout is not None:
            console.detail(f"{endpoint.name}: {endpoint.rollout}")
        elif endpoint.difference:
            console.detail(endpoint.difference)
    if any(endpoint.behind for endpoint in current.endpoints):
        console.detail("Update an endpoint: python -m deployment.run verify --use-case NAME --repair")


def _of_server(settings: Settings) -> ServerStatus:
    server = server_process.running(ServerSettings.of(settings))
    if server is None:
        return ServerStatus.of(None, [])
    from deployment.commands.serving import endpoints  # without a server, SDK and MLflow need not be loaded

    return ServerStatus.of(server, _beside_champions(endpoints.endpoints_of(endpoints.client_of(server)), settings))


def _of_workspace(settings: Settings) -> ServerStatus:
    """Status of the endpoints of the use cases; a workspace has those of other people, too."""
    from deployment.commands.serving import endpoints
    from deployment.endpoints.endpoint_client import workspace

    client = workspace()
    found = (endpoints.endpoint_of(client, name) for name in _endpoint_names(settings))
    statuses = _beside_champions([each for each in found if each is not None], settings)
    return ServerStatus(client.config.host, None, None, tuple(statuses))


def _endpoint_names(settings: Settings) -> dict[str, str]:
    """Use case of each declared endpoint, by the endpoint's name."""
    from deployment.commands.use_cases import declared_endpoints

    return {settings.endpoint(endpoint): name for name, endpoint in declared_endpoints().items()}


def _beside_champions(statuses: "list[EndpointStatus]", settings: Settings) -> "list[EndpointStatus]":
    """The endpoints beside their champions and rollouts; also those that were deleted during a rollout."""
    from deployment.commands.serving.champion_endpoint import champion_number
    from deployment.commands.serving.endpoints import EndpointStatus
    from deployment.rollout.lease import progress_of
    from training.tracking import TrackingFailed, tracking

    try:
        with tracking(settings) as registry:
            beside = [
                each.beside(champion_number(registry, each.model), progress_of(registry, each.model))
                if each.model
                else each
                for each in statuses
            ]
            known = {each.name for each in statuses}
            for endpoint, name in _endpoint_names(settings).items():
                if endpoint not in known and (rollout := progress_of(registry, name)) is not None:
                    deleted = EndpointStatus.deleted(endpoint, settings.registered_model(name))
                    beside.append(deleted.beside(champion_number(registry, name), rollout))
            return beside
    except TrackingFailed as err:
        if settings.home.runs_model_server and not statuses:
            raise  # nothing else could tell that deleted endpoints and their rollouts are not known
        return [replace(each, difference=f"the champion is unknown: {err.failed}") for each in statuses]


def _champion(endpoint: "EndpointStatus") -> str:
    if endpoint.champion is None:
        return "none"
    return f"{endpoint.champion}{' (behind)' if endpoint.behind else ''}"


def _traffic(versions: dict[int, int]) -> str:
    return ", ".join(f"{version} ({share} %)" for version, share in versions.items())
