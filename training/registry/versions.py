"""Lookups in the registry: versions of a model, and versions by alias. They import no learner."""

from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.entities.model_registry.model_version_search import ModelVersionSearch
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

CHALLENGER, CHAMPION = "challenger", "champion"


def model_of(client: MlflowClient, name: str) -> RegisteredModel | None:
    """The registered model, or None; Unity Catalog cannot search models by name."""
    try:
        return client.get_registered_model(name)
    except MlflowException as err:
        if err.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def versions_of(client: MlflowClient, name: str) -> list[ModelVersion]:
    """Every version with its tags; empty if the model does not exist.

    Unity Catalog searches only by full name, which `model.name` has, and returns versions without their tags.
    """
    model = model_of(client, name)
    if model is None:
        return []
    versions = list(client.search_model_versions(f"name = '{model.name}'"))
    return [
        client.get_model_version(name, str(version.version)) if isinstance(version, ModelVersionSearch) else version
        for version in versions
    ]


def newest_version(client: MlflowClient, name: str) -> ModelVersion | None:
    """The newest registered version, or None."""
    return max(versions_of(client, name), key=lambda version: int(version.version), default=None)


def version_of(client: MlflowClient, name: str, alias: str) -> ModelVersion | None:
    """The version that carries the alias, or None."""
    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException as err:
        if err.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return None
        raise
