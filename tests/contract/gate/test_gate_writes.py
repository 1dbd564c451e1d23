"""Commands interrupted at each of their writes, or run concurrently: each is complete or has no effect, and the next
command completes it.
"""

import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from deployment.gate.gate import Gate
from deployment.ledger.change_errors import ChampionChanged, ChangeIncomplete
from deployment.ledger.entries import Entry
from deployment.ledger.history import History
from deployment.ledger.storage import PromotionBusy
from lakehouse.errors import LakehouseError
from tests.contract.gate import fault_injection
from tests.contract.gate.commands import AFTER, COMMANDS, promote, promoting, refusing, run_until_killed
from tests.contract.gate.consistency import BEFORE, require_consistent
from tests.contract.people import NAME, Environment, actions, champion, opened_gate

WRITES = {"promote": 14, "rollback": 9}
FAULTS = [(command, write) for command, count in WRITES.items() for write in range(count)]


@pytest.fixture
def environment(with_champion: Environment, tmp_path: Path) -> Environment:
    return with_champion.copied(tmp_path)


def require_all_or_nothing(gate: Gate, command: str) -> None:
    """Assert that the command is complete and recorded once, or had no effect and can be repeated."""
    require_consistent(gate, 2, AFTER[command])
    done = [("promoted", 2, 4)] if command == "promote" else [("rolled_back", 2, 1)]
    if champion(gate) == 2:
        assert actions(gate) == BEFORE
        COMMANDS[command](gate)
    assert actions(gate) == BEFORE + done
    require_consistent(gate, AFTER[command])


@pytest.mark.parametrize("command", COMMANDS)
def test_the_tests_below_cover_every_write(gate: Gate, command: str) -> None:
    with fault_injection.counting_writes(gate) as (counted_gate, writes):
        COMMANDS[command](counted_gate)
    assert len(writes.names) == WRITES[command], writes.names


@pytest.mark.parametrize(("command", "write"), FAULTS)
def test_a_failing_write_leaves_all_or_nothing(gate: Gate, command: str, write: int) -> None:
    with pytest.raises((LakehouseError, MlflowException, OSError)):
        COMMANDS[command](
            fault_injection.with_fault(gate, fault_injection.Writes(write, fault_injection.raise_error))
        )
    require_all_or_nothing(gate, command)


@pytest.fixture(scope="module")
def processes() -> Any:
    """Fork server whose processes have all imports, but no open files."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.contract.gate.commands"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # the server imports before it receives the path
        forkserver.ensure_running()
    return context


@pytest.mark.parametrize(("command", "write"), FAULTS)
def test_a_process_killed_before_a_write_leaves_all_or_nothing(
    environment: Environment, processes: Any, command: str, write: int
) -> None:
    process = processes.Process(target=run_until_killed, args=(environment, command, write))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    with opened_gate(environment) as gate:
        require_all_or_nothing(gate, command)


def test_one_of_two_concurrent_promotions_succeeds(environment: Environment, gate: Gate) -> None:
    results: list[type[Exception] | None] = []
    begin = threading.Barrier(2)

    def run(challenger: int) -> None:
        uri = environment.settings.tracking_uri
        own_gate = environment.gate(MlflowClient(uri, uri))
        begin.wait()
        try:
            with own_gate.locked():
                own_gate.apply(promoting(challenger, 2))
            results.append(None)
        except LakehouseError as err:
            results.append(type(err))

    threads = [threading.Thread(target=run, args=(version,)) for version in (3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results.count(None) == 1
    assert set(results) - {None} <= {PromotionBusy, ChampionChanged}
    require_consistent(gate, 3, 4)
    assert [action for action, _, _ in actions(gate)] == ["promoted"] * 3


class ConcurrentPromotion:
    """Promotes version 3 from another machine, outside the lock, before this command writes its pending entry."""

    def __init__(self, gate: Gate, then: fault_injection.Fault) -> None:
        self.gate, self.then, self.done = gate, then, False

    def __call__(self, write: str) -> None:
        if not self.done:
            self.done = True
            self.gate.apply(promoting(3, 2))
        else:
            self.then(write)


BEFORE_PENDING = 4  # writes of the verdict: two files and two tags


def test_the_second_writer_of_an_entry_restores_the_champion_of_the_first(gate: Gate) -> None:
    writes = fault_injection.Writes(BEFORE_PENDING, ConcurrentPromotion(gate, lambda _write: None))
    with pytest.raises(PromotionBusy, match="it wrote the same ledger entry"):
        fault_injection.with_fault(gate, writes).apply(promoting(4, 2))
    assert champion(gate) == 3
    require_consistent(gate, 3)
    assert actions(gate) == [*BEFORE, ("promoted", 2, 3)]


def test_repair_restores_the_champion_of_the_ledger_after_a_killed_second_writer(gate: Gate) -> None:
    class Killed(Exception):
        pass

    def die(write: str) -> None:
        if gate.client.get_model_version_by_alias(NAME, "champion").version in {4, "4"}:
            raise Killed(write)

    writes = fault_injection.Writes(BEFORE_PENDING, ConcurrentPromotion(gate, die))
    with pytest.raises(Killed):
        fault_injection.with_fault(gate, writes).apply(promoting(4, 2))
    with gate.locked():
        pass
    require_consistent(gate, 3)
    assert actions(gate) == [*BEFORE, ("promoted", 2, 3)]


def test_an_interrupted_refusal_can_be_repeated(gate: Gate) -> None:
    for write in range(6):
        with pytest.raises((MlflowException, OSError, LakehouseError)):
            fault_injection.with_fault(gate, fault_injection.Writes(write, fault_injection.raise_error)).apply(
                refusing(4, 2)
            )
        require_consistent(gate, 2)
    gate.apply(refusing(4, 2))
    assert actions(gate)[-1] == ("refused", 2, 2)


def test_an_incomplete_change_has_a_hint_to_repair(gate: Gate) -> None:
    with pytest.raises(
        ChangeIncomplete, match=r"version 4 .* is the champion.*(?s:.*)verify --use-case people --repair"
    ):
        promote(fault_injection.with_fault(gate, fault_injection.Writes(6, fault_injection.raise_error)))
    last: Entry = History(gate.ledger.entries(NAME)).entries[-1]
    assert last.to_version == 2
    require_consistent(gate, 4)
    assert actions(gate)[-1] == ("promoted", 2, 4)
