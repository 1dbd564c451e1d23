"""Several machines on one registry, and a registry that was restored from an older copy.

A second machine is a second warehouse folder.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from deployment.commands import use_cases
from deployment.ledger.entries import Ledger
from deployment.ledger.folder import TABLE, FolderLedger
from deployment.ledger.registry import EXPERIMENT, RegistryLedger
from deployment.ledger.storage import PromotionBusy
from deployment.model_server.process import server_process
from lakehouse.errors import LakehouseError
from lakehouse.tables.warehouse import Warehouse
from tests.contract.gate.test_ledger import FIRST
from tests.contract.mlflow_server import mlflow_server
from tests.contract.people import (
    NAME,
    USE_CASE,
    Environment,
    actions,
    champion,
    command,
    mlflow_restored,
    opened_gate,
    set_challenger,
)

On = Callable[..., str]


@pytest.fixture
def environment(with_champion: Environment, tmp_path: Path) -> Environment:
    return with_champion.copied(tmp_path)


@pytest.fixture
def second(environment: Environment, tmp_path: Path) -> Path:
    """Warehouse of the second machine: the same feature tables, and no ledger."""
    warehouse = tmp_path / "second"
    shutil.copytree(environment.warehouse / "gold", warehouse / "gold")
    return warehouse


@pytest.fixture
def on() -> Iterator[On]:
    """Run a command on the machine with a warehouse, with a registry."""
    with mlflow_restored(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(use_cases, "load", lambda _name, _folder: USE_CASE)
        patch.setattr(server_process, "running", lambda _settings: None)

        def run(warehouse: Path, registry: str, *arguments: str, exits: int = 0) -> str:
            patch.setenv("MLFLOW_TRACKING_URI", registry)
            patch.setenv("MLFLOW_REGISTRY_URI", registry)
            patch.setenv("LAKEHOUSE_WAREHOUSE", str(warehouse))
            return command(*arguments, exits=exits)

        yield run


def test_machines_that_share_a_server_share_the_ledger(
    environment: Environment, second: Path, tmp_path: Path, on: On
) -> None:
    first = environment.warehouse
    with mlflow_server(environment.database, tmp_path) as url:
        # The two entries of a release that kept the ledger in the first machine's warehouse.
        assert "2 entries verified" in on(first, url, "verify")
        unreachable = on(second, url, "verify", exits=1)
        assert "the ledger of people lies in the folder " in unreachable
        assert "Version 4 is the champion" in on(first, url, "promote")
        for machine in (first, second):
            assert "3 entries verified; the registry matches" in on(machine, url, "verify")
        assert "Version 2 is the champion" in on(second, url, "rollback", "--reason", "complaints")
        assert "4 entries verified; the registry matches" in on(first, url, "verify")
        assert "complaints" in on(first, url, "history")
        require_one_writer(url, first, second)


def require_one_writer(url: str, *warehouses: Path) -> None:
    """Assert that of two machines that write the same number only one writes an entry."""
    ledgers = [
        Ledger(RegistryLedger(MlflowClient(url), url, EXPERIMENT, FolderLedger(Warehouse(each))))
        for each in warehouses
    ]
    first, second = (each.storage for each in ledgers)
    assert isinstance(first, RegistryLedger)
    entry = replace(FIRST, use_case="race")
    row = {**vars(entry), "digest": entry.digest}
    client, (experiment, *_) = (
        MlflowClient(url),
        MlflowClient(url).search_experiments(filter_string=f"name = '{EXPERIMENT}'"),
    )
    # The other machine has proposed its entry and not finished it yet.
    tags = {"ledger.use_case": "race", "ledger.number": "1", "ledger.entry": "{}"}
    proposal = client.create_run(experiment.experiment_id, tags=tags)
    with pytest.raises(PromotionBusy):
        second.add(row)
    assert ledgers[0].entries("race") == []
    # The other machine was killed: after a minute its proposal counts no more, and can never be finished.
    client.delete_run(proposal.info.run_id)
    abandoned = client.create_run(experiment.experiment_id, start_time=1, tags=tags)
    second.add(row)
    with pytest.raises(Exception, match="deleted"):
        client.set_terminated(abandoned.info.run_id)
    assert ledgers[0].entries("race") == [entry]
    with pytest.raises(PromotionBusy):
        first.add({**row, "reason": "another command's"})
    for run in client.search_runs([experiment.experiment_id], "tags.`ledger.use_case` = 'race'"):
        client.delete_run(run.info.run_id)
    assert ledgers[1].entries("race") == [entry], "a deleted run of an entry still counts"


def test_a_second_machine_on_one_database_is_told_where_the_ledger_lies(
    environment: Environment, second: Path, on: On
) -> None:
    first, registry = environment.warehouse, environment.settings.tracking_uri
    on(first, registry, "freeze", "--reason", "holidays")
    told = on(second, registry, "promote", exits=1)
    cause, reset = f"lies in the folder {first / 'deployment' / TABLE.table} on ", "reset-ledger"
    assert told.index(cause) < told.index(reset)
    # An emergency does not wait for the other machine, which records it later.
    rolled_back = on(second, registry, "rollback", "--reason", "complaints")
    assert "Version 1 is the champion" in rolled_back
    assert "The next command on the machine of the ledger records it" in rolled_back
    assert "complaints" not in on(first, registry, "history")
    assert "the registry matches" in on(first, registry, "verify", "--repair")
    with opened_gate(environment) as gate:
        assert actions(gate)[-1] == ("rolled_back", 2, 1)
        assert gate.ledger.entries(NAME)[-1].reason == "complaints"
    # A reset takes over, and the first machine still has a way on.
    on(second, registry, "reset-ledger", "--reason", "the first machine is gone")
    assert "the registry matches" in on(second, registry, "verify")
    locked_out = on(first, registry, "promote", exits=1)
    assert f"lies in the folder {second / 'deployment' / TABLE.table} on " in locked_out
    on(first, registry, "reset-ledger", "--reason", "it is back")
    assert "the registry matches" in on(first, registry, "verify")


@pytest.mark.parametrize("way", ["reset-ledger", "rollback"])
def test_a_registry_restored_from_an_older_copy_is_named_and_keeps_the_history(
    environment: Environment, tmp_path: Path, on: On, way: str
) -> None:
    warehouse, registry = environment.warehouse, environment.settings.tracking_uri
    copy = shutil.copy(environment.database, tmp_path / "backup.db")
    on(warehouse, registry, "promote")
    on(warehouse, registry, "freeze", "--reason", "holidays")
    shutil.copy(copy, environment.database)
    for refused in (("promote",), ("verify",), ("unfreeze", "--reason", "back")):
        told = on(warehouse, registry, *refused, exits=1)
        assert "the registry of people was restored from an older copy: it knows 2 of 4 entries" in told
        assert "reset-ledger --use-case people" in told
    on(warehouse, registry, way, "--reason", "the disk broke")
    assert "the registry matches" in on(warehouse, registry, "verify")
    with opened_gate(environment) as gate:
        history = [("promoted", None, 1), ("promoted", 1, 2), ("promoted", 2, 4), ("frozen", 4, 4)]
        after = [("registry_restored", 4, 2)] + ([("rolled_back", 2, 1)] if way == "rollback" else [])
        assert actions(gate) == history + after
        assert champion(gate) == (1 if way == "rollback" else 2)
        # Version 4 of the lost registry was champion; a version that gets this number anew was not.
        with pytest.raises(LakehouseError, match="version 4 of people was never champion"):
            gate.rollback(4, "it was good")
        assert not set_challenger(gate, 4).promote().promote, "the freeze still holds"
        gate.unfreeze("back")
        if way == "reset-ledger":
            assert gate.promote().promote
            assert gate.rollback(None, "complaints") == 2
