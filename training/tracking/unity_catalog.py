"""MLflow client for the model registry of Unity Catalog, where a model's name has catalog and schema before it."""

from typing import Any

from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.tracking import MlflowClient

from lakehouse.settings import Settings


class UnityCatalogClient(MlflowClient):
    """Client that takes the name of a use case for the full name of its model.

    A name with dots is full already. Without a full name, MLflow would ask the Spark session for its current catalog
    and schema on each call.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings

    def full_name(self, name: str) -> str:
        return name if "." in name else self._settings.registered_model(name)

    def create_registered_model(self, name: str, *args: Any, **options: Any) -> RegisteredModel:
        return super().create_registered_model(self.full_name(name), *args, **options)

    def get_registered_model(self, name: str) -> RegisteredModel:
        return super().get_registered_model(self.full_name(name))

    def delete_registered_model(self, name: str) -> None:
        super().delete_registered_model(self.full_name(name))

    def set_registered_model_tag(self, name: str, key: str, value: Any) -> None:
        super().set_registered_model_tag(self.full_name(name), key, value)

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        super().delete_registered_model_tag(self.full_name(name), key)

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        super().set_registered_model_alias(self.full_name(name), alias, version)

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        super().delete_registered_model_alias(self.full_name(name), alias)

    def create_model_version(self, name: str, *args: Any, **options: Any) -> ModelVersion:
        return super().create_model_version(self.full_name(name), *args, **options)

    def get_model_version(self, name: str, version: str) -> ModelVersion:
        return super().get_model_version(self.full_name(name), version)

    def get_model_version_by_alias(self, name: str, alias: str) -> ModelVersion:
        return super().get_model_version_by_alias(self.full_name(name), alias)

    def update_model_version(self, name: str, version: str, description: str | None = None) -> ModelVersion:
        return super().update_model_version(self.full_name(name), version, description)

    def delete_model_version(self, name: str, version: str) -> None:
        super().delete_model_version(self.full_name(name), version)

    def set_model_version_tag(self, name: str, *args: Any, **options: Any) -> None:
        super().set_model_version_tag(self.full_name(name), *args, **options)

    def delete_model_version_tag(self, name: str, *args: Any, **options: Any) -> None:
        super().delete_model_version_tag(self.full_name(name), *args, **options)
