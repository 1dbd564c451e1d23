"""The endpoint beside the champion, on a real server: who owns an endpoint, and how one that is behind catches up."""

import json
import multiprocessing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from databricks.sdk import WorkspaceClient

from deployment.commands import use_cases
from deployment.endpoints import endpoint_client
from deployment.gate.gate import Gate
from deployment.model_server.http.auth import read_token
from deployment.model_server.process import server_process
from deployment.model_server.settings import ServerSettings
from deployment.run import main
from lakehouse.errors import LakehouseError
from lakehouse.settings import PROJECT
from tests.contract.gate.commands import promote, run_until_killed
from tests.contract.people import NAME, USE_CASE, Environment, actions, champion, mlflow_restored
from tests.ports import free_port
from training.registry.versions import CHAMPION

Run = Callable[..., str]
UNTIL_THE_ALIAS_MOVED = 6  # writes of `promote`: verdict (4), ledger_pending, alias


@pytest.fixture
def environment(with_champion: Environment, tmp_path: Path) -> Environment:
    return with_champion.copied(tmp_path)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of use-case files, with `people.yml`."""
    folder = tmp_path / "use_cases"
    folder.mkdir()
    write(folder, NAME)
    monkeypatch.setattr(use_cases, "FOLDER", folder)
    return folder


def write(folder: Path, name: str, **changes: object) -> None:
    declared = USE_CASE.model_dump(mode="json", exclude_unset=True) | {"name": name} | changes
    (folder / f"{name}.yml").write_text(yaml.safe_dump(declared))


@pytest.fixture
def server(environment: Environment, tmp_path: Path) -> Iterator[ServerSettings]:
    settings = ServerSettings(PROJECT, tmp_path / ".serving", environment.settings.tracking_uri, port=free_port())
    server_process.serve_detached(settings)
    yield settings
    server_process.stop(settings)


@pytest.fixture
def client(server: ServerSettings) -> WorkspaceClient:
    return endpoint_client.connect(server.url, read_token(server.token_file))


@pytest.fixture
def run(environment: Environment, server: ServerSettings, folder: Path) -> Iterator[Run]:
    """Run a command of `deployment.run`, check its exit code and return its output."""
    running = server_process.running

    def command(*arguments: str, exits: int = 0) -> str:
        result = CliRunner().invoke(main, arguments)
        assert (1 if isinstance(result.exception, LakehouseError) else result.exit_code) == exits, result.output
        return f"{result.output}{result.exception or ''}"

    with mlflow_restored(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", environment.settings.tracking_uri)
        patch.setenv("LAKEHOUSE_WAREHOUSE", str(environment.warehouse))
        patch.setattr(server_process, "running", lambda _settings: running(server))
        yield command


def of_people(*command: str) -> tuple[str, ...]:
    return (*command, "--use-case", NAME)


def test_an_endpoint_that_an_interrupted_promotion_left_behind_is_shown_and_updated(
    gate: Gate, environment: Environment, run: Run, client: WorkspaceClient
) -> None:
    assert "serves version 2 (100 %)" in run(*of_people("serve", "--detach"))
    assert "3 (behind)" not in run("status")
    assert "the registry matches" in run(*of_people("verify"))
    killed = multiprocessing.get_context("spawn").Process(
        target=run_until_killed, args=(environment, "promote", UNTIL_THE_ALIAS_MOVED)
    )
    killed.start()
    killed.join()
    assert champion(gate) == 4
    behind = "the endpoint 'people' serves version 2 (100 %), but the champion is version 4"
    shown = run("status")
    assert "4 (behind)" in shown
    assert behind in shown
    (endpoint,) = json.loads(run("status", "--json"))["endpoints"]
    assert (endpoint["versions"], endpoint["champion"], endpoint["difference"]) == ({"2": 100}, 4, behind)
    assert behind in run(*of_people("verify"), exits=1)
    assert "Endpoint people serves version 4 (100 %)" in run(*of_people("verify", "--repair"))
    assert actions(gate)[-1] == ("promoted", 2, 4)
    assert "the registry matches" in run(*of_people("verify"))
    # A canary gives the champion some of the traffic: it is not behind.
    endpoint_client.shift(client, NAME, NAME, {4: 90, 1: 10})
    assert "(behind)" not in run("status")
    # Every command that records something mends, whatever comes of it itself.
    endpoint_client.deploy(client, NAME, NAME, 1)
    assert "has no challenger" in (refused := run(*of_people("promote"), exits=1))
    assert "Endpoint people serves version 4 (100 %)" in refused
    endpoint_client.deploy(client, NAME, NAME, 1)
    assert "Endpoint people serves version 4 (100 %)" in run(*of_people("freeze", "--reason", "holidays"))
    assert "Endpoint people serves version 2 (100 %)" in run(*of_people("rollback", "--reason", "complaints"))


def test_an_endpoint_serves_the_use_case_that_it_was_created_for(
    gate: Gate, run: Run, folder: Path, client: WorkspaceClient
) -> None:
    run(*of_people("serve", "--detach"))
    copy_model(gate, "weather")
    write(folder, "weather")
    both = r"the endpoint 'people' is declared by {}.yml and {}.yml"
    for command in (("promote",), ("verify",), ("serve", "--detach"), ("ask",), ("promote", "--dry-run")):
        assert both.format("weather", NAME) in run(*command, "--use-case", "weather", exits=1)
        assert both.format(NAME, "weather") in run(*of_people(*command), exits=1)
    # A file that declares the name of another's endpoint must not block that one's rollback.
    assert "Endpoint people serves version 1 (100 %)" in run(*of_people("rollback", "--reason", "complaints"))
    (folder / f"{NAME}.yml").rename(folder.parent / "elsewhere.yml")
    left_alone = "the endpoint 'people' serves people, not only weather\n  The endpoint is left alone"
    assert left_alone in run("serve", "--detach", "--use-case", "weather", exits=1)
    assert left_alone in run("ask", "--use-case", "weather", exits=1)
    assert "serves the model people, not weather" in run("verify", "--repair", "--use-case", "weather", exits=1)
    assert endpoint_client.served_versions(client, NAME) == {1: 100}


def test_a_rollback_needs_no_valid_use_case_file(gate: Gate, run: Run, folder: Path) -> None:
    promote(gate)
    run(*of_people("serve", "--detach"))
    write(folder, NAME, golden_request={"weight": 1.0}, promotion={"minimum": "high"})
    assert "promotion.minimum" in run(*of_people("promote"), exits=1)
    assert "Endpoint people serves version 2 (100 %)" in run(*of_people("rollback", "--reason", "complaints"))
    assert champion(gate) == 2


def copy_model(gate: Gate, name: str) -> None:
    """Register version 1 of `people` under another name too, as champion."""
    source = gate.client.get_model_version(NAME, "1")
    gate.client.create_registered_model(name)
    tags: Any = source.tags
    gate.client.create_model_version(name, str(source.source), source.run_id, tags=tags)
    gate.client.set_registered_model_alias(name, CHAMPION, "1")
