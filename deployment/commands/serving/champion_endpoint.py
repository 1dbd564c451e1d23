"""The endpoint of a use case beside its champion: how they differ, and how the endpoint catches up."""

from databricks.sdk import WorkspaceClient
from mlflow.tracking import MlflowClient

from deployment.commands.serving.endpoints import client_of
from deployment.endpoints import endpoint_client
from deployment.endpoints.state import Served
from deployment.model_server.process import server_process
from deployment.model_server.settings import ServerSettings
from deployment.rollout.progress import stored_progress
from lakehouse import console
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings
from training.registry.versions import CHAMPION, version_of
from training.use_case.use_case import UseCase


def serving_client(settings: Settings) -> WorkspaceClient | None:
    """Client of the workspace, or of the running model server; None without a server.

    Raises:
        LakehouseError: The workspace or the server does not respond.
    """
    if settings.home.runs_model_server:
        return endpoint_client.workspace()
    server = server_process.running(ServerSettings.of(settings))
    return None if server is None else client_of(server)


def champion_number(client: MlflowClient, model: str) -> int | None:
    """Version with the alias champion."""
    champion = version_of(client, model, CHAMPION)
    return None if champion is None else int(champion.version)


def served_by(use_case: UseCase, settings: Settings) -> Served | None:
    """State of the use case's endpoint; None without a server or an endpoint.

    Raises:
        LakehouseError: The workspace or the server does not respond, or rejects the token.
    """
    client = serving_client(settings)
    return None if client is None else endpoint_client.served_by(client, settings.endpoint(use_case.serving.endpoint))


def difference(use_case: UseCase, registry: MlflowClient, settings: Settings) -> str:
    """Difference between the endpoint and the champion in one line; empty without one."""
    try:
        served = served_by(use_case, settings)
    except LakehouseError as err:
        endpoint = settings.endpoint(use_case.serving.endpoint)
        return f"the endpoint '{endpoint}' cannot be compared with the champion: {err.failed}"
    if served is None:
        return ""
    return served.difference(settings.registered_model(use_case.name), champion_number(registry, use_case.name))


def is_rolling_out(serving: WorkspaceClient, endpoint: str, registry: MlflowClient, name: str) -> bool:
    """True if a rollout moves the traffic of the endpoint; the command that continues it is named.

    Raises:
        LakehouseError: The workspace or the server does not respond, or rejects the token.
    """
    rollout = stored_progress(registry, name)
    if rollout is None or endpoint_client.served_by(serving, endpoint) is None:
        return False
    console.detail(f"The rollout of version {rollout.version} is in progress ('{rollout.phase}')")
    console.detail(f"Continue it: python -m deployment.run rollout --use-case {name}")
    return True


def is_behind(use_case: UseCase, registry: MlflowClient, settings: Settings) -> bool:
    """True if the endpoint serves the model, but gives its champion no traffic.

    Raises:
        LakehouseError: The workspace or the server does not respond, or rejects the token.
    """
    served, champion = served_by(use_case, settings), champion_number(registry, use_case.name)
    if served is None or champion is None or served.models != (settings.registered_model(use_case.name),):
        return False
    return bool(served.difference(served.models[0], champion))
