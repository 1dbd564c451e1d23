"""A command that is cut off at any of its writes, or beside another: it was done or not done at all, and the next
command finishes it.
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
from deployment.ledger.champion_change import ChampionMoved, ChangeUnfinished
from deployment.ledger.entries import Entry, PromotionBusy
from deployment.ledger.history import History
from lakehouse.errors import LakehouseError
from tests.contract.gate import striking
from tests.contract.gate.commands import AFTER, COMMANDS, promote, promoting, refusing, run_until_killed
from tests.contract.gate.crowned import BEFORE, require_sound
from tests.contract.people import NAME, Place, actions, champion, opened

WRITES = {"promote": 13, "rollback": 8}
STRUCK = [(command, write) for command, count in WRITES.items() for write in range(count)]


@pytest.fixture
def place(crowned: Place, tmp_path: Path) -> Place:
    return crowned.copied(tmp_path)


def require_either(gate: Gate, command: str) -> None:
    """The command was done or not done at all, says the ledger once; and it can be run to its end."""
    require_sound(gate, 2, AFTER[command])
    done = [("promoted", 2, 4)] if command == "promote" else [("rolled_back", 2, 1)]
    if champion(gate) == 2:
        assert actions(gate) == BEFORE
        COMMANDS[command](gate)
    assert actions(gate) == BEFORE + done
    require_sound(gate, AFTER[command])


@pytest.mark.parametrize("command", COMMANDS)
def test_all_writes_of_a_command_are_struck_below(gate: Gate, command: str) -> None:
    with striking.counted(gate) as (watched, writes):
        COMMANDS[command](watched)
    assert len(writes.names) == WRITES[command], writes.names


@pytest.mark.parametrize(("command", "write"), STRUCK)
def test_a_write_that_fails(gate: Gate, command: str, write: int) -> None:
    with pytest.raises((LakehouseError, MlflowException, OSError)):
        COMMANDS[command](striking.struck(gate, striking.Writes(write, striking.fails)))
    require_either(gate, command)


@pytest.fixture(scope="module")
def processes() -> Any:
    """Processes that have imported everything, and opened nothing."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.contract.gate.commands"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # the server imports before it is told the path
        forkserver.ensure_running()
    return context


@pytest.mark.parametrize(("command", "write"), STRUCK)
def test_a_process_that_is_killed_before_a_write(place: Place, processes: Any, command: str, write: int) -> None:
    process = processes.Process(target=run_until_killed, args=(place, command, write))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    with opened(place) as gate:
        require_either(gate, command)


def test_two_promotions_at_once(place: Place, gate: Gate) -> None:
    told: list[type[Exception] | None] = []
    begin = threading.Barrier(2)

    def run(challenger: int) -> None:
        uri = place.settings.tracking_uri
        mine = place.gate(MlflowClient(uri, uri))
        begin.wait()
        try:
            with mine.alone():
                mine.apply(promoting(challenger, 2))
            told.append(None)
        except LakehouseError as err:
            told.append(type(err))

    threads = [threading.Thread(target=run, args=(version,)) for version in (3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told.count(None) == 1
    assert set(told) - {None} <= {PromotionBusy, ChampionMoved}
    require_sound(gate, 3, 4)
    assert [action for action, _, _ in actions(gate)] == ["promoted"] * 3


class Overtaking:
    """Another machine promotes version 3, unseen by the lock, just before this command says what it will write."""

    def __init__(self, gate: Gate, then: striking.Blow) -> None:
        self.gate, self.then, self.done = gate, then, False

    def __call__(self, write: str) -> None:
        if not self.done:
            self.done = True
            self.gate.apply(promoting(3, 2))
        else:
            self.then(write)


BEFORE_PENDING = 4  # two files of the verdict and its two tags


def test_a_command_that_was_overtaken_in_the_ledger_takes_its_champion_back(gate: Gate) -> None:
    writes = striking.Writes(BEFORE_PENDING, Overtaking(gate, lambda _write: None))
    with pytest.raises(PromotionBusy, match="it wrote the same entry of the ledger"):
        striking.struck(gate, writes).apply(promoting(4, 2))
    assert champion(gate) == 3
    require_sound(gate, 3)
    assert actions(gate) == [*BEFORE, ("promoted", 2, 3)]


def test_a_command_that_was_overtaken_and_killed_leaves_the_champion_of_the_ledger(gate: Gate) -> None:
    class Killed(Exception):
        pass

    def dies(write: str) -> None:
        if gate.client.get_model_version_by_alias(NAME, "champion").version in {4, "4"}:
            raise Killed(write)

    writes = striking.Writes(BEFORE_PENDING, Overtaking(gate, dies))
    with pytest.raises(Killed):
        striking.struck(gate, writes).apply(promoting(4, 2))
    with gate.alone():
        pass
    require_sound(gate, 3)
    assert actions(gate) == [*BEFORE, ("promoted", 2, 3)]


def test_a_refusal_that_is_cut_off_is_refused_again(gate: Gate) -> None:
    for write in range(6):
        with pytest.raises((MlflowException, OSError, LakehouseError)):
            striking.struck(gate, striking.Writes(write, striking.fails)).apply(refusing(4, 2))
        require_sound(gate, 2)
    gate.apply(refusing(4, 2))
    assert actions(gate)[-1] == ("refused", 2, 2)


def test_what_is_unfinished_is_told_with_the_command_that_finishes_it(gate: Gate) -> None:
    with pytest.raises(
        ChangeUnfinished, match=r"version 4 .* is the champion.*(?s:.*)verify --use-case people --repair"
    ):
        promote(striking.struck(gate, striking.Writes(6, striking.fails)))
    found: Entry = History(gate.ledger.entries(NAME)).entries[-1]
    assert found.to_version == 2
    require_sound(gate, 4)
    assert actions(gate)[-1] == ("promoted", 2, 4)
