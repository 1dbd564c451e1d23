"""The endpoint of a use case in a workspace, where Databricks runs the server and the catalog names the model."""

from mlflow.tracking import MlflowClient

from deployment.endpoints import endpoint_client
from deployment.ledger import aliases
from lakehouse import console
from lakehouse.settings import Settings
from training.registry.versions import model_of
from training.tracking import tracking
from training.use_case.use_case import UseCase, load


def serve(name: str, settings: Settings) -> None:
    """Let the endpoint serve the champion; it is made where there is none.

    Raises:
        NoChampion: there is nothing to serve.
        LakehouseError: the endpoint did not come up, or serves another model.
    """
    endpoint = load(name).serving.endpoint
    with tracking(settings) as client:
        version, model = int(aliases.champion(client, name).version), _model(client, name)
    ours = endpoint_client.workspace()
    followed = endpoint_client.follow(ours, endpoint, model, version)
    console.detail(str(followed or endpoint_client.deploy(ours, endpoint, model, version)))


def follow(use_case: UseCase, version: int, settings: Settings) -> None:
    """Let the endpoint serve the version, if there is one: only `serve` makes an endpoint, since it costs money.

    Raises:
        LakehouseError: it does not serve it; what served before still does.
    """
    endpoint = use_case.serving.endpoint
    with tracking(settings) as client:
        model = _model(client, use_case.name)
    state = endpoint_client.follow(endpoint_client.workspace(), endpoint, model, version)
    if state is None:
        console.detail(f"The workspace has no endpoint '{endpoint}' that could follow.")
        console.detail(f"Make it: python -m deployment.run serve --use-case {use_case.name}")
    else:
        console.detail(str(state))


def _model(client: MlflowClient, name: str) -> str:
    """The model as the registry has it: in Unity Catalog with its catalog and schema.

    Raises:
        NoModel: it was deleted.
    """
    found = model_of(client, name)
    if found is None:
        raise aliases.NoModel.of(name)
    return str(found.name)
