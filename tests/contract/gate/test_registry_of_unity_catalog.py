"""The gate on a registry like Unity Catalog: no search by model name, and search results without tags."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities.model_registry import RegisteredModel
from mlflow.entities.model_registry.model_version_search import ModelVersionSearch
from mlflow.store._unity_catalog.registry.rest_store import UcModelRegistryStore
from mlflow.tracking import MlflowClient

from deployment.gate.audit import audit
from deployment.gate.gate import Gate
from deployment.ledger.history import History
from tests.contract.gate.commands import promoting
from tests.contract.people import NAME, Environment, actions, champion, opened_gate
from training.registry.versions import model_of, newest_version, versions_of

FULL_NAME = f"main.models.{NAME}"


@dataclass(frozen=True)
class UnityCatalog:
    """MLflow registry with the differences of Unity Catalog."""

    inner: MlflowClient

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def get_registered_model(self, name: str) -> RegisteredModel:
        model = self.inner.get_registered_model(name)
        model._name = FULL_NAME
        return model

    def search_registered_models(self, filter_string: str | None = None) -> Any:
        store = UcModelRegistryStore("databricks-uc", "databricks")  # type: ignore[no-untyped-call]
        return store.search_registered_models(filter_string)  # type: ignore[no-untyped-call]

    def search_model_versions(self, filter_string: str) -> list[ModelVersionSearch]:
        name = filter_string.removeprefix("name = '").removesuffix("'")
        versions = self.inner.search_model_versions(f"name = '{NAME}'") if name == FULL_NAME else []
        return [
            ModelVersionSearch(each.name, each.version, each.creation_timestamp, run_id=each.run_id)  # type: ignore[no-untyped-call]
            for each in versions
        ]


@pytest.fixture
def gate(template: Environment, tmp_path: Path) -> Iterator[Gate]:
    with opened_gate(template.copied(tmp_path)) as inner:
        client: Any = UnityCatalog(inner.client)
        yield Gate(inner.use_case, client, inner.store, inner.ledger)


def test_versions_are_found_with_their_tags(gate: Gate) -> None:
    assert sorted(int(each.version) for each in versions_of(gate.client, NAME)) == [1, 2, 3, 4]
    assert {each.tags["stage"] for each in versions_of(gate.client, NAME)} == {"Development"}
    newest = newest_version(gate.client, NAME)
    assert newest is not None
    assert int(newest.version) == 4


def test_a_missing_model_has_no_versions(gate: Gate) -> None:
    assert model_of(gate.client, "never_trained") is None
    assert versions_of(gate.client, "never_trained") == []


def test_a_champion_is_promoted_and_rolled_back(gate: Gate) -> None:
    for version, before in ((1, None), (2, 1)):
        with gate.locked():
            gate.apply(promoting(version, before))
    assert gate.rollback(None, "complaints") == 1
    assert champion(gate) == 1
    assert actions(gate) == [("promoted", None, 1), ("promoted", 1, 2), ("rolled_back", 2, 1)]
    stages = {int(each.version): each.tags["stage"] for each in versions_of(gate.client, NAME)}
    assert stages == {1: "Production", 2: "Archived", 3: "Development", 4: "Development"}
    assert audit(gate.client, NAME, History(gate.ledger.entries(NAME))) == []
