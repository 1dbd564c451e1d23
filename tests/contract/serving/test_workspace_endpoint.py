"""Commands that update the endpoint of a workspace, with a fake of the SDK client that checks signatures."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from unittest.mock import create_autospec

import pytest
import yaml
from click.testing import CliRunner
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import NotFound, PermissionDenied, ResourceConflict
from databricks.sdk.mixins.open_ai_client import ServingEndpointsExt
from databricks.sdk.service.serving import QueryEndpointResponse, ServedEntityInput, ServingEndpointDetailed

from deployment.commands import open_gate, use_cases
from deployment.commands.open_gate import EndpointNotUpdated
from deployment.endpoints import endpoint_client
from deployment.gate.gate import Gate
from deployment.ledger.entries import Ledger
from deployment.ledger.folder import FolderLedger
from deployment.rollout.limits.counts import StepCounts, VersionCounts
from deployment.rollout.progress import ProgressTags, RolloutProgress
from deployment.rollout.state import Phase, Rollout
from deployment.run import main
from lakehouse.settings import Settings
from lakehouse.tables.warehouse import Warehouse
from tests.contract.people import NAME, USE_CASE, Environment, champion, command, mlflow_restored, set_challenger
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
    """Fake of a workspace and its serving endpoints."""

    def __init__(self) -> None:
        self.endpoints: Any = create_autospec(ServingEndpointsExt, instance=True)
        self.client: Any = create_autospec(WorkspaceClient, instance=True)
        self.client.serving_endpoints = self.endpoints
        self.endpoints.get.side_effect = NotFound(f"no endpoint {NAME}")
        self.endpoints.update_config.side_effect = self._updated
        self.endpoints.create.side_effect = lambda _name, config: self.set_endpoint(endpoint(1))

    def set_endpoint(self, endpoint: ServingEndpointDetailed) -> None:
        self.endpoints.get.side_effect = None
        self.endpoints.get.return_value = endpoint

    @property
    def updates(self) -> list[ServedEntityInput]:
        """Served entity of each update."""
        entities = [call.kwargs["served_entities"] for call in self.endpoints.update_config.call_args_list]
        return [cast(ServedEntityInput, entity) for (entity,) in entities]

    def _updated(self, _name: str, served_entities: list[ServedEntityInput], **_: object) -> None:
        self.set_endpoint(endpoint(int(served_entities[0].entity_version or 0)))


@pytest.fixture
def fake_workspace(monkeypatch: pytest.MonkeyPatch) -> Workspace:
    fake = Workspace()
    monkeypatch.setattr(endpoint_client, "WorkspaceClient", lambda: fake.client)
    return fake


@pytest.fixture
def run(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in the home databricks, with tables and ledger in local folders."""
    monkeypatch.setenv("FEATURE_STORE", "databricks")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", environment.settings.tracking_uri)
    monkeypatch.setattr(open_gate, "open_store", lambda _settings: environment.store())
    monkeypatch.setattr(
        open_gate, "open_ledger", lambda _settings: Ledger(FolderLedger(Warehouse(environment.warehouse)))
    )
    monkeypatch.setattr(use_cases, "load", lambda _name, _folder: USE_CASE)
    return command


def test_promotion_and_rollback_update_the_endpoint_and_only_serve_creates_it(
    gate: Gate, fake_workspace: Workspace, run: Run
) -> None:
    assert f"{NAME} has no champion to serve" in run("serve", exits=1)
    set_challenger(gate, 1)
    output = run("promote")
    assert "Version 1 is the champion\n" in output
    assert f"The workspace has no endpoint '{NAME}' to update" in output
    assert RETRY in output
    fake_workspace.endpoints.create.assert_not_called()
    assert f"Endpoint {NAME} serves version 1 (100 %)" in run("serve")
    created = fake_workspace.endpoints.create.call_args.kwargs["config"].served_entities[0]
    assert (created.entity_name, created.entity_version, created.workload_size) == (NAME, "1", "Small")
    set_challenger(gate, 2)
    assert f"Endpoint {NAME} serves version 2 (100 %)" in run("promote")
    assert f"Endpoint {NAME} serves version 1 (100 %)" in run("rollback", "--reason", "complaints")
    assert [each.entity_version for each in fake_workspace.updates] == ["2", "1"]
    # Settings made in the workspace are preserved.
    sizes = {(each.workload_size, each.scale_to_zero_enabled) for each in fake_workspace.updates}
    assert sizes == {("Large", True)}
    assert all(each.environment_vars == {"REGION": "eu"} for each in fake_workspace.updates)


def test_the_name_prefix_of_a_deployment_precedes_its_endpoint(
    gate: Gate, fake_workspace: Workspace, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAME_PREFIX", "dev_anna_")
    set_challenger(gate, 1)
    assert f"The workspace has no endpoint 'dev-anna-{NAME}' to update" in run("promote")
    run("serve")
    assert fake_workspace.endpoints.create.call_args.args[0] == f"dev-anna-{NAME}"
    assert {call.args[0] for call in fake_workspace.endpoints.get.call_args_list} == {f"dev-anna-{NAME}"}


def test_ask_sends_the_golden_request_to_the_endpoint_of_the_workspace(
    gate: Gate, fake_workspace: Workspace, run: Run
) -> None:
    answer = QueryEndpointResponse(predictions=[{"probability": 0.25}])
    fake_workspace.endpoints.query.return_value = answer
    fake_workspace.client.config.host = "https://a-workspace"
    output = run("ask")
    assert f"POST https://a-workspace/serving-endpoints/{NAME}/invocations" in output
    assert '"probability": 0.25' in output
    sent = fake_workspace.endpoints.query.call_args.kwargs["dataframe_records"]
    assert sent == [USE_CASE.golden_request]


def test_a_rejected_update_keeps_the_champion_and_names_the_command_to_repeat(
    gate: Gate, fake_workspace: Workspace, run: Run
) -> None:
    fake_workspace.set_endpoint(endpoint(4))
    fake_workspace.endpoints.update_config.side_effect = ResourceConflict("an update is in progress")
    set_challenger(gate, 1)
    output = run("promote", exits=1)
    assert champion(gate) == 1
    assert "version 1 is the champion, but the endpoint 'people' still serves the earlier version" in output
    assert "an update is in progress" in output
    fake_workspace.endpoints.update_config.side_effect = fake_workspace._updated
    assert f"Endpoint {NAME} serves version 1 (100 %)" in run("serve")


def test_status_shows_the_endpoints_of_the_use_cases_and_their_rollouts_in_a_workspace(
    gate: Gate, fake_workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environment: Environment
) -> None:
    monkeypatch.setenv("FEATURE_STORE", "databricks")
    monkeypatch.setattr(use_cases, "FOLDER", tmp_path)
    (tmp_path / f"{NAME}.yml").write_text(yaml.safe_dump({"serving": {"endpoint": NAME}}))
    (tmp_path / "broken.yml").write_text("serving: [")
    fake_workspace.client.config.host = "https://a-workspace"

    def shown(*options: str) -> str:
        with mlflow_restored(), pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_URI", environment.settings.tracking_uri)
            return CliRunner().invoke(main, ["status", *options], catch_exceptions=False).output

    assert "https://a-workspace" in (without := shown())
    assert f"Create one: {RETRY.removesuffix(NAME)}NAME" in without
    gate.client.set_registered_model_alias(NAME, CHAMPION, "2")
    baking = Rollout("r", NAME, NAME, 2, 1, (10, 50), 600.0, phase=Phase.BAKING, step=0, until=1_600.0)
    counts = StepCounts({2: VersionCounts(240, 0, 3)})
    progress = RolloutProgress.of(baking, counts, 1_300.0, "5 min of the bake left, 240 of 100 requests")
    ProgressTags(gate.client, NAME).save(baking, progress, counts)
    line = (
        "rollout of version 2 beside version 1: baking, step 1 of 2, 10 %, 240 requests, 3 errors;"
        " 5 min of the bake left, 240 of 100 requests; nobody carries it out:"
        " python -m deployment.run rollout --use-case NAME"
    )
    assert f"{NAME}: {line}" in " ".join((deleted := shown()).split()), "an endpoint that was deleted in the middle"
    assert "DELETED" in deleted
    fake_workspace.set_endpoint(endpoint(1, update="IN_PROGRESS"))
    assert f"{NAME}: {line}" in " ".join(shown().split())
    found = json.loads(shown("--json"))
    assert (found["host"], found["pid"]) == ("https://a-workspace", None)
    (only,) = found["endpoints"]
    assert (only["update"], only["versions"], only["champion"]) == ("IN_PROGRESS", {"1": 100}, 2)
    assert (only["rollout"]["requests"], only["rollout"]["errors"], only["rollout"]["seconds_left"]) == (
        240,
        3,
        300.0,
    )
    fake_workspace.endpoints.list.assert_not_called()
    fake_workspace.endpoints.get.side_effect = PermissionDenied("the token lacks CAN_VIEW")
    refused = CliRunner().invoke(main, ["status"])
    assert "https://a-workspace rejected the token: the token lacks CAN_VIEW" in str(refused.exception)


def test_an_endpoint_of_another_model_stays_unchanged(gate: Gate, fake_workspace: Workspace, run: Run) -> None:
    fake_workspace.set_endpoint(endpoint(1, "main.models.weather"))
    gate.client.set_registered_model_alias(NAME, CHAMPION, "1")
    with pytest.raises(EndpointNotUpdated, match=f"'{NAME}' serves main.models.weather, not only {NAME}"):
        open_gate.update_endpoint(USE_CASE, 1, Settings.from_environment())
    assert f"'{NAME}' serves main.models.weather, not only {NAME}" in run("serve", exits=1)
    assert f"'{NAME}' serves the model main.models.weather, not {NAME}" in run("verify", exits=1)
    fake_workspace.endpoints.update_config.assert_not_called()


def test_a_missing_workspace_is_reported(
    gate: Gate, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(EndpointNotUpdated, match=r"still serves the earlier version: .*auth"):
        open_gate.update_endpoint(USE_CASE, 1, Settings.from_environment())


def test_serve_without_a_use_case_is_refused_in_a_workspace(run: Run) -> None:
    assert CliRunner().invoke(main, ["serve"]).exit_code == 2
