"""Registration, promotion and rollback through MLflow's own client for the registry of Unity Catalog."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from deployment.gate.audit import audit
from deployment.gate.gate import Gate
from deployment.ledger.history import History
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings
from tests.contract.people import (
    NAME,
    Environment,
    actions,
    champion,
    mlflow_restored,
    set_challenger,
    train,
    write_tables,
)
from tests.stand_ins.unity_catalog_registry import UnityCatalogRegistry, serving
from training.registry.versions import model_of, newest_version, versions_of
from training.tracking import experiment_id, tracking

FULL_NAME = f"risk.dev_anna_models.dev_anna_{NAME}"
GOOD, BETTER = 0.3, 0.0  # share of wrong training labels


@pytest.fixture(scope="module")
def registry() -> Iterator[UnityCatalogRegistry]:
    with serving("risk.dev_anna_models") as registry:
        yield registry


@contextmanager
def connected(registry: UnityCatalogRegistry) -> Iterator[pytest.MonkeyPatch]:
    """The environment variables of a workspace with this registry."""
    with mlflow_restored(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABRICKS_HOST", registry.url)
        patch.setenv("DATABRICKS_TOKEN", "a-token")
        patch.setenv("MLFLOW_REGISTRY_URI", "databricks-uc")
        patch.setenv("DATABRICKS_CATALOG", "risk")
        patch.setenv("NAME_PREFIX", "dev_anna_")
        yield patch


def settings_of(environment: Environment) -> Settings:
    return replace(environment.settings, registry_uri="databricks-uc", catalog="risk", name_prefix="dev_anna_")


@pytest.fixture(scope="module")
def environment(registry: UnityCatalogRegistry, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Two registered versions; the second is better, and the challenger."""
    root = tmp_path_factory.mktemp("unity_catalog")
    environment = Environment(root / "warehouse", root / "mlflow.db")
    write_tables(environment.warehouse)
    settings = settings_of(environment)
    with connected(registry), tracking(settings) as client:
        experiment = experiment_id(client, settings, NAME)
        for wrong_labels in (GOOD, BETTER):
            with mlflow.start_run(experiment_id=experiment):
                train(client, environment.store(), wrong_labels)
    return environment


@pytest.fixture
def gate(environment: Environment, registry: UnityCatalogRegistry) -> Iterator[Gate]:
    with connected(registry), tracking(settings_of(environment)) as client:
        yield environment.gate(client)


def test_versions_are_registered_with_their_tags_under_the_full_name(gate: Gate) -> None:
    model = model_of(gate.client, NAME)
    assert model is not None
    assert model.name == FULL_NAME
    versions = versions_of(gate.client, NAME)
    assert sorted(int(each.version) for each in versions) == [1, 2]
    assert {each.tags["stage"] for each in versions} == {"Development"}
    assert all(json.loads(each.tags["data_sources"]) == {"gold.bodies": 1, "gold.labels": 0} for each in versions)
    newest = newest_version(gate.client, NAME)
    assert newest is not None
    assert int(newest.version) == 2


def test_a_missing_model_has_no_versions(gate: Gate) -> None:
    assert model_of(gate.client, "never_trained") is None
    assert versions_of(gate.client, "never_trained") == []


def test_a_name_of_another_schema_is_refused(gate: Gate) -> None:
    with (
        pytest.raises(LakehouseError, match=r"the schema risk.models does not exist"),
        tracking(
            replace(Settings.from_environment(), registry_uri="databricks-uc", catalog="risk", name_prefix="")
        ) as client,
    ):
        client.create_registered_model(NAME)


def tagged(key: str, value: str = "b") -> Callable[[MlflowClient], object]:
    return lambda client: client.set_model_version_tag(FULL_NAME, "1", key, value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        *((tagged(f"a{sign}b"), "not a valid tag key") for sign in ".,-=/:"),
        (tagged(" a"), "not a valid tag key"),
        (tagged("a", "b" * 1001), "1001 characters"),
        (lambda client: client.set_registered_model_alias(FULL_NAME, "v1", "1"), "alias"),
        (lambda client: client.search_model_versions("tag.stage = 'Production'"), "filter"),
        (lambda client: client.create_registered_model("risk.dev_anna_models.a/b"), "name"),
        (lambda client: client.create_registered_model("risk.nowhere.people"), "does not exist"),
        (lambda client: client.get_model_version(FULL_NAME, "9"), "does not exist"),
    ],
)
def test_the_registry_refuses_what_unity_catalog_refuses(
    gate: Gate, change: Callable[[MlflowClient], object], reason: str
) -> None:
    with pytest.raises(MlflowException, match=reason):
        change(gate.client)


def test_the_gate_promotes_and_rolls_back(
    gate: Gate, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_challenger(gate, 1)
    with gate.locked():
        gate.apply(gate.evaluate())
    assert champion(gate) == 1
    set_challenger(gate, 2)
    with gate.locked():
        decision = gate.evaluate()
        assert decision.promote, decision.reasons
        gate.apply(decision)
    assert gate.rollback(None, "Beschwerden über " + "ü" * 280) == 1
    assert champion(gate) == 1
    assert actions(gate) == [("promoted", None, 1), ("promoted", 1, 2), ("rolled_back", 2, 1)]
    stages = {int(each.version): each.tags["stage"] for each in versions_of(gate.client, NAME)}
    assert stages == {1: "Production", 2: "Archived"}
    assert audit(gate.client, NAME, History(gate.ledger.entries(NAME))) == []
