"""`serve`: a model server, and an endpoint on it that answers with the champion."""

from deployment.commands.endpoints import client_of
from deployment.endpoints import endpoint_client
from deployment.model_server.process import server_process
from deployment.model_server.settings import ServerSettings
from lakehouse import console
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings
from training.use_case.use_case import UseCase, load


def serve_detached(name: str | None, settings: Settings, port: int | None) -> None:
    """Start a server if none runs, and let the use case's endpoint serve its champion.

    Raises:
        NoChampion: there is nothing to serve; no server is started then.
        AlreadyServing: one runs at another port than is asked for.
        LakehouseError: the server or the endpoint did not come up.
    """
    use_case = load(name) if name else None
    version = _champion_of(use_case, settings) if use_case else 0
    server_settings = ServerSettings.of(settings, port)
    server = server_process.running(server_settings) or server_process.serve_detached(server_settings)
    if port is not None and server.url != server_settings.url:
        raise server_process.AlreadyServing.at(server)
    console.stage(f"The model server answers at {server.url} (process {server.pid})")
    if use_case:
        deploy(server, use_case, version)


def deploy_champion(name: str, settings: Settings) -> None:
    """Let the use case's endpoint serve its champion, on the server that runs.

    Raises:
        LakehouseError: there is no champion, no server, or it did not come up.
    """
    use_case = load(name)
    deploy(running(settings), use_case, _champion_of(use_case, settings))


def deploy(server: server_process.ServerInfo, use_case: UseCase, version: int) -> None:
    """Let the use case's endpoint serve the version."""
    console.detail(str(endpoint_client.deploy(client_of(server), use_case.serving.endpoint, use_case.name, version)))


def running(settings: Settings) -> server_process.ServerInfo:
    """The server of this checkout.

    Raises:
        LakehouseError: none runs.
    """
    server = server_process.running(ServerSettings.of(settings))
    if server is None:
        raise LakehouseError(
            "no model server runs here", hint="Start one: python -m deployment.run serve --use-case NAME --detach"
        )
    return server


def _champion_of(use_case: UseCase, settings: Settings) -> int:
    from deployment.ledger.aliases import champion
    from training.tracking import tracking

    with tracking(settings) as client:
        return int(champion(client, use_case.name).version)
