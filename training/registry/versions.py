"""What the registry has of a model: its versions, and those that carry an alias. To look needs no learner."""

from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.entities.model_registry.model_version_search import ModelVersionSearch
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

CHALLENGER, CHAMPION = "challenger", "champion"


def model_of(client: MlflowClient, name: str) -> RegisteredModel | None:
    """The registered model, or None. Unity Catalog has no search by name."""
    try:
        return client.get_registered_model(name)
    except MlflowException as err:
        if err.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def versions_of(client: MlflowClient, name: str) -> list[ModelVersion]:
    """Every version with its tags; none of a model that there is not.

    Unity Catalog searches by the full name alone, which the model tells, and finds versions without their tags.
    """
    model = model_of(client, name)
    if model is None:
        return []
    found = list(client.search_model_versions(f"name = '{model.name}'"))
    return [
        client.get_model_version(name, str(each.version)) if isinstance(each, ModelVersionSearch) else each
        for each in found
    ]


def newest_version(client: MlflowClient, name: str) -> ModelVersion | None:
    """The last registered version, or None."""
    return max(versions_of(client, name), key=lambda version: int(version.version), default=None)


def version_of(client: MlflowClient, name: str, alias: str) -> ModelVersion | None:
    """The version that carries the alias, or None."""
    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException as err:
        if err.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return None
        raise
