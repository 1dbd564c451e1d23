"""The endpoint of a workspace follows the champion: the commands, against the real client's signatures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from unittest.mock import create_autospec

import pytest
from click.testing import CliRunner
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import NotFound, ResourceConflict
from databricks.sdk.mixins.open_ai_client import ServingEndpointsExt
from databricks.sdk.service.serving import ServedEntityInput, ServingEndpointDetailed

from deployment.commands import open_gate, workspace
from deployment.commands.open_gate import EndpointBehind
from deployment.endpoints import endpoint_client
from deployment.gate.gate import Gate
from deployment.ledger.entries import Ledger
from deployment.ledger.folder import FolderLedger
from deployment.run import main
from lakehouse.settings import Settings
from lakehouse.warehouse import Warehouse
from tests.contract.people import NAME, USE_CASE, Place, champion, command, let_challenge
from training.registry.versions import CHAMPION

Run = Callable[..., str]
RETRY = f"python -m deployment.run serve --use-case {NAME}"


def endpoint(version: int, model: str = NAME, update: str = "NOT_UPDATING") -> ServingEndpointDetailed:
    entity = {
        "name": f"{NAME}-{version}", "entity_name": model, "entity_version": str(version),
        "workload_size": "Large", "scale_to_zero_enabled": True, "environment_vars": {"REGION": "eu"},
    }  # fmt: skip
    routes = [{"served_model_name": entity["name"], "traffic_percentage": 100}]
    config = {"config_version": version, "served_entities": [entity], "traffic_config": {"routes": routes}}
    return ServingEndpointDetailed.from_dict(
        {"name": NAME, "state": {"ready": "READY", "config_update": update}, "config": config}
    )


class Workspace:
    """Its serving endpoints: what the client is asked, and what it then finds."""

    def __init__(self) -> None:
        self.endpoints: Any = create_autospec(ServingEndpointsExt, instance=True)
        self.client: Any = create_autospec(WorkspaceClient, instance=True)
        self.client.serving_endpoints = self.endpoints
        self.endpoints.get.side_effect = NotFound(f"no endpoint {NAME}")
        self.endpoints.update_config.side_effect = self._updated
        self.endpoints.create.side_effect = lambda _name, config: self.has(endpoint(1))

    def has(self, found: ServingEndpointDetailed) -> None:
        self.endpoints.get.side_effect = None
        self.endpoints.get.return_value = found

    @property
    def updates(self) -> list[ServedEntityInput]:
        """The one entity of each update."""
        told = [call.kwargs["served_entities"] for call in self.endpoints.update_config.call_args_list]
        return [cast(ServedEntityInput, entity) for (entity,) in told]

    def _updated(self, _name: str, served_entities: list[ServedEntityInput], **_: object) -> None:
        self.has(endpoint(int(served_entities[0].entity_version or 0)))


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Workspace:
    found = Workspace()
    monkeypatch.setattr(endpoint_client, "WorkspaceClient", lambda: found.client)
    return found


@pytest.fixture
def run(place: Place, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in the home of the workspace, whose tables and ledger are folders here."""
    monkeypatch.setenv("FEATURE_STORE", "databricks")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", place.settings.tracking_uri)
    monkeypatch.setattr(open_gate, "open_store", lambda _settings: place.store())
    monkeypatch.setattr(open_gate, "open_ledger", lambda _settings: Ledger(FolderLedger(Warehouse(place.warehouse))))
    monkeypatch.setattr(open_gate, "load", lambda _name: USE_CASE)
    monkeypatch.setattr(workspace, "load", lambda _name: USE_CASE)
    return command


def test_the_endpoint_follows_promotion_and_rollback_and_only_serve_makes_one(
    gate: Gate, there: Workspace, run: Run
) -> None:
    assert f"{NAME} has no champion to serve" in run("serve", exits=1)
    let_challenge(gate, 1)
    told = run("promote")
    assert "Version 1 is the champion." in told
    assert f"The workspace has no endpoint '{NAME}' that could follow" in told
    assert RETRY in told
    there.endpoints.create.assert_not_called()
    assert f"Endpoint {NAME} serves version 1 (100 %)" in run("serve")
    made = there.endpoints.create.call_args.kwargs["config"].served_entities[0]
    assert (made.entity_name, made.entity_version, made.workload_size) == (NAME, "1", "Small")
    let_challenge(gate, 2)
    assert f"Endpoint {NAME} serves version 2 (100 %)" in run("promote")
    assert f"Endpoint {NAME} serves version 1 (100 %)" in run("rollback", "--reason", "complaints")
    assert [each.entity_version for each in there.updates] == ["2", "1"]
    # What somebody has set in the workspace stays as it is.
    kept = {(each.workload_size, each.scale_to_zero_enabled) for each in there.updates}
    assert kept == {("Large", True)}
    assert all(each.environment_vars == {"REGION": "eu"} for each in there.updates)


def test_where_an_update_is_refused_the_alias_stands_and_the_command_to_repeat_is_told(
    gate: Gate, there: Workspace, run: Run
) -> None:
    there.has(endpoint(4))
    there.endpoints.update_config.side_effect = ResourceConflict("an update is in progress")
    let_challenge(gate, 1)
    told = run("promote", exits=1)
    assert champion(gate) == 1
    assert "version 1 is the champion, and the endpoint 'people' still serves what it served before" in told
    assert "an update is in progress" in told
    there.endpoints.update_config.side_effect = there._updated
    assert f"Endpoint {NAME} serves version 1 (100 %)" in run("serve")


def test_an_endpoint_of_another_model_is_left_alone(gate: Gate, there: Workspace, run: Run) -> None:
    there.has(endpoint(1, "main.models.weather"))
    gate.client.set_registered_model_alias(NAME, CHAMPION, "1")
    with pytest.raises(EndpointBehind, match=f"'{NAME}' serves main.models.weather, and not {NAME} alone"):
        open_gate.follow(USE_CASE, 1, Settings.from_environment())
    there.endpoints.update_config.assert_not_called()


def test_without_a_workspace_to_be_found_that_is_told(
    gate: Gate, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(EndpointBehind, match=r"still serves what it served before: .*auth"):
        open_gate.follow(USE_CASE, 1, Settings.from_environment())


def test_a_workspace_serves_no_server_alone(run: Run) -> None:
    assert CliRunner().invoke(main, ["serve"]).exit_code == 2
