"""What can happen while a champion changes. None of it promotes wrongly, none leaves two champions or none where
there was one, and the next command repairs it or names the repair.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deltalake import DeltaTable, write_deltalake
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from deployment import succession
from deployment.audit import audit
from deployment.contender import VersionBroken
from deployment.gate import Gate
from deployment.history import History
from deployment.holdout import HoldoutRefused
from deployment.ledger import Entry, LedgerBroken, PromotionBusy
from deployment.ledger.folder import TABLE
from deployment.succession import ChampionLost, ChampionMoved, ChangeUnfinished
from deployment.verdict import VerdictUnwritten
from lakehouse.errors import LakehouseError
from tests.contract import striking
from tests.contract.commands import AFTER, COMMANDS, promote, promoting, refusing, run_until_killed
from tests.contract.people import NAME, Place, actions, champion, let_challenge, opened
from training.golden import MOST
from training.scoring import Scorer

WRITES = {"promote": 13, "rollback": 8}
STRUCK = [(command, write) for command, count in WRITES.items() for write in range(count)]


@pytest.fixture(scope="module")
def crowned(template: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Version 2 is the champion after version 1, and 4 is the challenger."""
    place = template.copied(tmp_path_factory.mktemp("crowned"))
    with opened(place) as gate:
        for version, before in ((1, None), (2, 1)):
            with gate.alone():
                gate.apply(promoting(version, before))
        let_challenge(gate, 4)
    return place


@pytest.fixture
def place(crowned: Place, tmp_path: Path) -> Place:
    return crowned.copied(tmp_path)


BEFORE = [("promoted", None, 1), ("promoted", 1, 2)]


def require_sound(gate: Gate, *champions: int) -> None:
    """One of these is the champion, and after the next command ledger and registry agree on it."""
    before = champion(gate)
    assert before in champions
    with gate.alone():
        pass
    assert champion(gate) == before
    assert audit(gate.client, NAME, History(gate.ledger.entries(NAME))) == []
    assert gate.client.get_registered_model(NAME).tags.keys() == {succession.HEAD}


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
    context.set_forkserver_preload(["tests.contract.commands"])
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


def test_the_registry_is_down_when_a_command_begins(gate: Gate) -> None:
    class Down:
        def __getattr__(self, name: str) -> Any:
            def fail(*_: Any, **__: Any) -> Any:
                raise MlflowException("connection refused")

            return fail

    down: Any = Down()
    for command in (promote, lambda each: each.rollback(None, "no"), lambda each: each.promote()):
        with pytest.raises(MlflowException):
            command(replace(gate, client=down))
    assert actions(gate) == BEFORE
    require_sound(gate, 2)


def files_of(gate: Gate, version: int) -> Path:
    source = gate.client.get_model_version_download_uri(NAME, str(version))
    return Path(source.removeprefix("file://"))


@pytest.fixture
def damaged(gate: Gate) -> Iterator[Callable[[int, str], None]]:
    """Damages the files of a version, which the tests share, until the test ends."""
    undo: list[Callable[[], object]] = []

    def damage(version: int, how: str) -> None:
        folder = files_of(gate, version)
        if how == "gone":
            away = folder.with_name("away")
            undo.append(lambda: away.rename(folder))
            folder.rename(away)
            return
        (file,) = folder.rglob("pipeline.skops")
        content = file.read_bytes()
        undo.append(lambda: file.write_bytes(content))
        (good,) = files_of(gate, 1).rglob("pipeline.skops")
        zeroes = b"\0" * len(content)
        ways = {"cut off": content[: len(content) // 2], "zeroed": zeroes, "another's": good.read_bytes()}
        file.write_bytes(ways[how])

    yield damage
    for each in undo:
        each()


@pytest.mark.parametrize("how", ["gone", "cut off", "zeroed", "another's"])
@pytest.mark.parametrize("version", [2, 4])
def test_files_of_champion_or_challenger_are(gate: Gate, damaged: Any, version: int, how: str) -> None:
    damaged(version, how)
    with pytest.raises(VersionBroken, match=f"version {version} of people cannot be used"):
        gate.promote()
    assert actions(gate) == BEFORE
    require_sound(gate, 2)


def test_files_of_the_version_to_go_back_to_are_gone(gate: Gate, damaged: Any) -> None:
    damaged(1, "gone")
    with pytest.raises(VersionBroken, match="version 1 of people cannot be used"):
        gate.rollback(None, "complaints")
    require_sound(gate, 2)


def test_a_version_answers_with_no_number(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    said = Scorer.predicted

    def broken(*given: Any) -> Any:
        """Of the holdout's rows; the golden ones are fewer."""
        found = said(*given)
        return np.where(np.arange(len(found)), found, np.nan) if len(found) > MOST else found

    monkeypatch.setattr(Scorer, "predicted", broken)
    assert not gate.promote().promote
    assert actions(gate) == [*BEFORE, ("refused", 2, 2)]
    require_sound(gate, 2)


def test_a_version_does_not_answer(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise ValueError("X has 2 features, but is expecting 3")

    monkeypatch.setattr(Scorer, "predicted", fail)
    with pytest.raises(VersionBroken, match="does not score the holdout"):
        gate.promote()
    require_sound(gate, 2)


def rows_of_the_holdout_change(gate: Gate, place: Place) -> None:
    table = DeltaTable(place.warehouse / "gold/labels")
    rows = table.to_pyarrow_table().sort_by("person")
    write_deltalake(place.warehouse / "new", rows.set_column(2, "label", [np.roll(rows["label"].to_numpy(), 1)]))
    (place.warehouse / "gold/labels").rename(place.warehouse / "old")
    (place.warehouse / "new").rename(place.warehouse / "gold/labels")


def the_pinned_hash_changes(gate: Gate, place: Place) -> None:
    gate.client.set_model_version_tag(NAME, "4", "holdout.fingerprint", "0" * 64)


def files_of_the_tables_are_gone(gate: Gate, place: Place) -> None:
    for file in (place.warehouse / "gold/bodies").glob("*.parquet"):
        file.unlink()


def the_challenger_says_nothing_of_its_data(gate: Gate, place: Place) -> None:
    gate.client.delete_model_version_tag(NAME, "4", "data.last")


def the_champion_says_nothing_of_its_data(gate: Gate, place: Place) -> None:
    gate.client.delete_model_version_tag(NAME, "2", "data.last")


def the_challenger_was_trained_on_its_holdout(gate: Gate, place: Place) -> None:
    tags = gate.client.get_model_version(NAME, "4").tags
    gate.client.set_model_version_tag(NAME, "4", "data.last", tags["holdout.from"])


@pytest.mark.parametrize(
    "fault",
    [
        rows_of_the_holdout_change,
        the_pinned_hash_changes,
        files_of_the_tables_are_gone,
        the_challenger_says_nothing_of_its_data,
        the_champion_says_nothing_of_its_data,
        the_challenger_was_trained_on_its_holdout,
    ],
)
def test_a_holdout_that_cannot_be_trusted(gate: Gate, place: Place, fault: Callable[[Gate, Place], None]) -> None:
    fault(gate, place)
    with pytest.raises(HoldoutRefused):
        gate.promote()
    assert actions(gate) == BEFORE
    require_sound(gate, 2)


def test_a_table_is_gone(gate: Gate, place: Place) -> None:
    (place.warehouse / "gold/bodies").rename(place.warehouse / "elsewhere")
    with pytest.raises(LakehouseError, match=r"gold\.bodies is not in the warehouse"):
        gate.promote()
    require_sound(gate, 2)


def test_the_clock_goes_back(gate: Gate) -> None:
    promote(replace(gate, now=lambda: datetime(1999, 1, 1, tzinfo=UTC)))
    times = [entry.at for entry in gate.ledger.entries(NAME)]
    assert times == sorted(times)
    assert times[-1] > datetime(2020, 1, 1, tzinfo=UTC)
    require_sound(gate, 4)


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


def test_another_model_of_the_same_name_does_not_inherit_the_champion(template: Place, tmp_path: Path) -> None:
    with opened(template.copied(tmp_path)) as gate:
        with gate.alone():
            gate.apply(promoting(2, None))
        gate.client.delete_registered_model_alias(NAME, "champion")  # as of a model that was deleted and made anew
        gate.client.delete_registered_model_tag(NAME, succession.HEAD)
        let_challenge(gate, 4)
        with pytest.raises(LedgerBroken, match="the registry knows nothing"):
            gate.promote()
        assert champion(gate) is None


def test_another_registry_client_moves_the_champion_meanwhile(gate: Gate) -> None:
    decision = promoting(4, 2)
    gate.client.set_registered_model_alias(NAME, "champion", "3")
    with pytest.raises(ChampionMoved, match="changed meanwhile from version 2 to version 3"):
        gate.apply(decision)
    require_sound(gate, 3)


def test_the_challenger_is_deleted_before_it_is_promoted(gate: Gate) -> None:
    gate.client.delete_model_version(NAME, "4")
    with pytest.raises(MlflowException):
        promote(gate)
    require_sound(gate, 2)


def test_the_alias_of_the_champion_is_deleted(gate: Gate) -> None:
    gate.client.delete_registered_model_alias(NAME, "champion")
    with gate.alone():
        pass
    require_sound(gate, 2)


def test_the_champion_is_deleted_and_a_rollback_is_named(gate: Gate) -> None:
    gate.client.delete_model_version(NAME, "2")
    for command in (gate.promote, lambda: gate.rollback(None, "gone"), lambda: gate.freeze("gone")):
        with pytest.raises(ChampionLost, match="rollback --use-case people --to 1"):
            command()
    gate.rollback(1, "version 2 was deleted")
    require_sound(gate, 1)
    assert gate.judge().champion == 1


def test_every_champion_is_deleted_and_the_next_is_a_first_one(gate: Gate) -> None:
    for version in ("1", "2"):
        gate.client.delete_model_version(NAME, version)
    with gate.alone():
        pass
    assert actions(gate) == [*BEFORE, ("repaired", 2, None)]
    assert gate.promote().champion is None
    require_sound(gate, 4)


def test_the_end_of_the_ledger_is_cut_off(gate: Gate, place: Place) -> None:
    ledger = place.warehouse / "deployment" / TABLE.table
    table = DeltaTable(ledger)
    newest = ledger / "_delta_log" / f"{table.version():020}.json"
    newest.unlink()
    for command in (promote, lambda each: each.promote(), lambda each: each.rollback(None, "no")):
        with pytest.raises(LedgerBroken, match=r"and the registry knows \w{12}"):
            command(gate)
    assert champion(gate) == 2


def test_the_ledger_is_gone(gate: Gate, place: Place) -> None:
    (place.warehouse / "deployment" / TABLE.table).rename(place.warehouse / "away")
    with pytest.raises(LedgerBroken, match="it ends with nothing"):
        promote(gate)
    (place.warehouse / "away").rename(place.warehouse / "deployment" / TABLE.table)
    promote(gate)
    require_sound(gate, 4)


def test_the_registrys_memory_of_the_ledger_is_gone_or_unreadable(gate: Gate) -> None:
    head = gate.client.get_registered_model(NAME).tags[succession.HEAD]
    gate.client.delete_registered_model_tag(NAME, succession.HEAD)
    with pytest.raises(LedgerBroken, match="the registry knows nothing"):
        promote(gate)
    gate.client.set_registered_model_tag(NAME, succession.HEAD, head)
    gate.client.set_registered_model_tag(NAME, succession.PENDING, "{}")
    with pytest.raises(LedgerBroken, match="the tag ledger_pending of the registered model is no entry; delete it"):
        promote(gate)
    gate.client.delete_registered_model_tag(NAME, succession.PENDING)
    require_sound(gate, 2)


def test_a_first_write_to_the_ledger_left_half_a_file(gate: Gate, place: Place) -> None:
    ledger = place.warehouse / "deployment" / TABLE.table
    (ledger / "part-0-half.parquet").write_bytes(b"PAR1")
    (ledger / "_delta_log" / "_commit_half.json.tmp").write_bytes(b"{")
    promote(gate)
    require_sound(gate, 4)


def test_the_place_of_the_ledger_takes_no_files(gate: Gate, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("lakehouse.warehouse.NamedTemporaryFile", refuse)
    with pytest.raises(LakehouseError, match="cannot be written to: Permission denied"):
        promote(gate)
    monkeypatch.undo()
    require_sound(gate, 2)


def test_the_verdicts_file_is_not_what_was_written(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    wrote = MlflowClient.log_text
    monkeypatch.setattr(
        MlflowClient, "log_text", lambda self, run, text, file: wrote(self, run, text[: len(text) // 2], file)
    )
    with pytest.raises(VerdictUnwritten, match="what was read back is not what was written"):
        promote(gate)
    require_sound(gate, 2)


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
