"""`serve --detach`: a model server in the background, and an endpoint that serves the champion."""

from deployment.commands.serving.address import settings_to_serve
from deployment.commands.serving.endpoints import client_of
from deployment.commands.use_cases import load_to_serve
from deployment.endpoints import endpoint_client
from deployment.model_server.process import server_process
from deployment.model_server.settings import ServerSettings
from lakehouse import console
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings
from training.use_case.use_case import UseCase


class NoServer(LakehouseError):
    """No model server runs in this checkout."""

    @classmethod
    def of(cls, name: str) -> "NoServer":
        return cls(
            "no model server is running",
            hint=f"Start one: python -m deployment.run serve --use-case {name} --detach",
        )


def serve_detached(name: str | None, settings: Settings, port: int | None, workers: int = 0) -> None:
    """Start a server if none is running, and serve the champion of the use case.

    Raises:
        NoChampion: The use case has no champion; no server is started.
        AlreadyServing: A server is running at another port than requested.
        LakehouseError: The server or the endpoint did not become ready.
    """
    use_case = load_to_serve(name) if name else None
    version = _champion_of(use_case, settings) if use_case else 0
    server_settings = settings_to_serve(settings, port, workers)
    server = server_process.running(server_settings) or server_process.serve_detached(server_settings)
    if port is not None and server.url != server_settings.url:
        raise server_process.AlreadyServing.at(server)
    console.stage(f"Model server ready at {server.url} (process {server.pid})")
    if use_case:
        _deploy_unless_rolling_out(server, use_case, version, settings)


def deploy_champion(name: str, settings: Settings) -> None:
    """Serve the champion of the use case on the running server.

    Raises:
        LakehouseError: There is no champion or no server, or the endpoint did not become ready.
    """
    use_case = load_to_serve(name)
    _deploy_unless_rolling_out(running(settings, name), use_case, _champion_of(use_case, settings), settings)


def deploy(server: server_process.ServerInfo, use_case: UseCase, version: int, settings: Settings) -> None:
    """Serve the version on the use case's endpoint."""
    model = settings.registered_model(use_case.name)
    console.detail(str(endpoint_client.deploy(client_of(server), use_case.serving.endpoint, model, version)))


def _deploy_unless_rolling_out(
    server: server_process.ServerInfo, use_case: UseCase, version: int, settings: Settings
) -> None:
    """Serve the champion; during a rollout leave its share of the traffic to the rollout."""
    from deployment.commands.serving.champion_endpoint import is_rolling_out
    from training.tracking import tracking

    with tracking(settings) as registry:
        if is_rolling_out(client_of(server), use_case.serving.endpoint, registry, use_case.name):
            return
    deploy(server, use_case, version, settings)


def running(settings: Settings, name: str) -> server_process.ServerInfo:
    """Running server of this checkout, for a use case.

    Raises:
        NoServer: No server is running.
    """
    server = server_process.running(ServerSettings.of(settings))
    if server is None:
        raise NoServer.of(name)
    return server


def _champion_of(use_case: UseCase, settings: Settings) -> int:
    from deployment.ledger.aliases import champion
    from training.tracking import tracking

    with tracking(settings) as client:
        return int(champion(client, use_case.name).version)
