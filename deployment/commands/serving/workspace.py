"""Endpoint of a use case in a Databricks workspace, where Databricks runs the server."""

from deployment.commands.serving.champion_endpoint import is_rolling_out
from deployment.commands.use_cases import load_to_serve
from deployment.endpoints import endpoint_client
from deployment.ledger import aliases
from lakehouse import console
from lakehouse.settings import Settings
from training.tracking import tracking
from training.use_case.use_case import UseCase


def serve(name: str, settings: Settings) -> None:
    """Serve the champion on the endpoint; create the endpoint if it is missing.

    Raises:
        NoChampion: The use case has no champion.
        LakehouseError: The endpoint did not become ready, or serves another model.
    """
    endpoint = settings.endpoint(load_to_serve(name).serving.endpoint)
    with tracking(settings) as client:
        version = int(aliases.champion(client, name).version)
        serving = endpoint_client.workspace()
        if is_rolling_out(serving, endpoint, client, name):
            return
    console.detail(str(endpoint_client.deploy(serving, endpoint, settings.registered_model(name), version)))


def update_endpoint(use_case: UseCase, version: int, settings: Settings) -> None:
    """Serve the version on an existing endpoint. Only `serve` creates an endpoint, since that costs money.

    Raises:
        LakehouseError: The endpoint did not change; it still serves the earlier version.
    """
    endpoint, model = settings.endpoint(use_case.serving.endpoint), settings.registered_model(use_case.name)
    state = endpoint_client.follow(endpoint_client.workspace(), endpoint, model, version)
    if state is None:
        console.detail(f"The workspace has no endpoint '{endpoint}' to update")
        console.detail(f"Create it: python -m deployment.run serve --use-case {use_case.name}")
    else:
        console.detail(str(state))
