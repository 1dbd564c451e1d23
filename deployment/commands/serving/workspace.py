"""Endpoint of a use case in a Databricks workspace, where Databricks runs the server."""

from mlflow.tracking import MlflowClient

from deployment.endpoints import endpoint_client
from deployment.ledger import aliases
from lakehouse import console
from lakehouse.settings import Settings
from training.registry.versions import model_of
from training.tracking import tracking
from training.use_case.use_case import UseCase, load


def serve(name: str, settings: Settings) -> None:
    """Serve the champion on the endpoint; create the endpoint if it is missing.

    Raises:
        NoChampion: The use case has no champion.
        LakehouseError: The endpoint did not become ready, or serves another model.
    """
    endpoint = load(name).serving.endpoint
    with tracking(settings) as client:
        version, model = int(aliases.champion(client, name).version), _model(client, name)
    serving = endpoint_client.workspace()
    followed = endpoint_client.follow(serving, endpoint, model, version)
    console.detail(str(followed or endpoint_client.deploy(serving, endpoint, model, version)))


def update_endpoint(use_case: UseCase, version: int, settings: Settings) -> None:
    """Serve the version on an existing endpoint. Only `serve` creates an endpoint, since that costs money.

    Raises:
        LakehouseError: The endpoint did not change; it still serves the earlier version.
    """
    endpoint = use_case.serving.endpoint
    with tracking(settings) as client:
        model = _model(client, use_case.name)
    state = endpoint_client.follow(endpoint_client.workspace(), endpoint, model, version)
    if state is None:
        console.detail(f"The workspace has no endpoint '{endpoint}' to update")
        console.detail(f"Create it: python -m deployment.run serve --use-case {use_case.name}")
    else:
        console.detail(str(state))


def _model(client: MlflowClient, name: str) -> str:
    """Full name of the registered model; in Unity Catalog with catalog and schema.

    Raises:
        NoModel: The model was deleted.
    """
    model = model_of(client, name)
    if model is None:
        raise aliases.NoModel.of(name)
    return str(model.name)
