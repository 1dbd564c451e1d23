"""Ledger and registry that somebody lost, moved or damaged: nothing is promoted wrongly, none leaves two champions or
none where there was one, and the next command repairs it or names the repair.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from mlflow.exceptions import MlflowException

from deployment.gate.audit import audit
from deployment.gate.gate import Gate, RollbackRefused
from deployment.ledger import champion_change
from deployment.ledger.champion_change import ChampionLost, ChampionMoved
from deployment.ledger.entries import LedgerBroken
from deployment.ledger.folder import TABLE
from deployment.ledger.history import History
from lakehouse.errors import LakehouseError
from tests.contract.gate import striking
from tests.contract.gate.commands import promote, promoting
from tests.contract.gate.crowned import BEFORE, require_sound
from tests.contract.people import NAME, Place, actions, champion, let_challenge, opened


@pytest.fixture
def place(crowned: Place, tmp_path: Path) -> Place:
    return crowned.copied(tmp_path)


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


def test_the_clock_goes_back(gate: Gate) -> None:
    promote(replace(gate, now=lambda: datetime(1999, 1, 1, tzinfo=UTC)))
    times = [entry.at for entry in gate.ledger.entries(NAME)]
    assert times == sorted(times)
    assert times[-1] > datetime(2020, 1, 1, tzinfo=UTC)
    require_sound(gate, 4)


@pytest.fixture
def strangers(template: Place, tmp_path: Path) -> Iterator[Gate]:
    """A registered model that was deleted and made anew after its version 2 was promoted; 4 is the challenger."""
    with opened(template.copied(tmp_path)) as gate:
        with gate.alone():
            gate.apply(promoting(2, None))
        gate.client.delete_registered_model_alias(NAME, "champion")
        gate.client.delete_registered_model_tag(NAME, champion_change.HEAD)
        gate.client.set_model_version_tag(NAME, "2", "stage", "Development")
        yield let_challenge(gate, 4)


def test_another_model_of_the_same_name_does_not_inherit_the_champion(strangers: Gate) -> None:
    with pytest.raises(
        LedgerBroken, match=r"the registry knows nothing of it(?s:.*)run reset-ledger --use-case people"
    ):
        strangers.promote()
    assert champion(strangers) is None


def test_another_model_of_the_same_name_begins_anew_and_the_ledger_goes_on(strangers: Gate) -> None:
    strangers.reset_ledger("the registry was lost")
    assert actions(strangers) == [("promoted", None, 2), ("ledger_reset", 2, None)]
    with pytest.raises(RollbackRefused, match="version 2 of people was never its champion"):
        strangers.rollback(2, "it was, of the other model")
    assert strangers.promote().champion is None
    require_sound(strangers, 4)
    with pytest.raises(champion_change.ResetRefused, match="know each other"):
        strangers.reset_ledger("again")


def test_a_beginning_that_was_cut_off_is_repeated(strangers: Gate) -> None:
    with pytest.raises(MlflowException):
        striking.struck(strangers, striking.Writes(1, striking.fails)).reset_ledger("the registry was lost")
    strangers.reset_ledger("the registry was lost")
    strangers.promote()
    require_sound(strangers, 4)


def test_a_lost_ledger_begins_anew_and_the_champion_stays(gate: Gate, place: Place) -> None:
    (place.warehouse / "deployment" / TABLE.table).rename(place.warehouse / "away")
    with pytest.raises(MlflowException):
        striking.struck(gate, striking.Writes(1, striking.fails)).reset_ledger("the disk broke")
    gate.reset_ledger("the disk broke")
    assert actions(gate)[-1] == ("repaired", None, 2)
    require_sound(gate, 2)


def test_a_stage_that_was_edited_is_found_and_put_right(gate: Gate) -> None:
    gate.client.set_model_version_tag(NAME, "1", "stage", "Development")
    problems = audit(gate.client, NAME, History(gate.ledger.entries(NAME)))
    assert problems == ["the stage of version 1, once the champion, is Development and not Archived"]
    require_sound(gate, 2)


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


def newest(files: Iterable[Path]) -> Path:
    return max(files, key=lambda file: file.stat().st_mtime_ns)


def half_a_file(ledger: Path) -> None:
    file = newest(ledger.glob("*.parquet"))
    file.write_bytes(file.read_bytes()[:100])


def a_file_less(ledger: Path) -> None:
    newest(ledger.glob("*.parquet")).unlink()


def half_a_commit(ledger: Path) -> None:
    file = newest(ledger.glob("_delta_log/*.json"))
    file.write_text(file.read_text()[:100])


@pytest.mark.parametrize("damage", [half_a_file, a_file_less, half_a_commit])
def test_a_table_of_the_ledger_that_cannot_be_read(gate: Gate, place: Place, damage: Callable[[Path], None]) -> None:
    damage(place.warehouse / "deployment" / TABLE.table)
    for each in (promote, lambda found: found.promote(), lambda found: found.rollback(None, "no")):
        with pytest.raises(LedgerBroken, match=r"its table cannot be read: .*\n.*from a backup"):
            each(gate)
    assert champion(gate) == 2


def test_the_registrys_memory_of_the_ledger_is_gone_or_unreadable(gate: Gate) -> None:
    head = gate.client.get_registered_model(NAME).tags[champion_change.HEAD]
    gate.client.delete_registered_model_tag(NAME, champion_change.HEAD)
    with pytest.raises(LedgerBroken, match="the registry knows nothing"):
        promote(gate)
    gate.client.set_registered_model_tag(NAME, champion_change.HEAD, head)
    gate.client.set_registered_model_tag(NAME, champion_change.PENDING, "{}")
    with pytest.raises(LedgerBroken, match="the tag ledger_pending of the registered model is no entry; delete it"):
        promote(gate)
    gate.client.delete_registered_model_tag(NAME, champion_change.PENDING)
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
