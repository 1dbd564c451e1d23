"""Lost, changed or damaged ledger and registry: nothing is promoted wrongly, the champion stays, and the next command
repairs the state or names the repair.
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
from deployment.gate.errors import RollbackRefused
from deployment.gate.gate import Gate
from deployment.ledger import champion_change
from deployment.ledger.change_errors import ChampionChanged, ChampionDeleted
from deployment.ledger.entries import LedgerBroken
from deployment.ledger.folder import TABLE
from deployment.ledger.history import History
from deployment.ledger.mismatch import ResetRefused
from lakehouse.errors import LakehouseError
from tests.contract.gate import fault_injection
from tests.contract.gate.commands import promote, promoting
from tests.contract.gate.consistency import BEFORE, require_consistent
from tests.contract.people import NAME, Environment, actions, champion, opened_gate, set_challenger


@pytest.fixture
def environment(with_champion: Environment, tmp_path: Path) -> Environment:
    return with_champion.copied(tmp_path)


def test_a_registry_that_is_down_stops_every_command(gate: Gate) -> None:
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
    require_consistent(gate, 2)


def test_entries_stay_in_order_if_the_clock_goes_back(gate: Gate) -> None:
    promote(replace(gate, now=lambda: datetime(1999, 1, 1, tzinfo=UTC)))
    times = [entry.at for entry in gate.ledger.entries(NAME)]
    assert times == sorted(times)
    assert times[-1] > datetime(2020, 1, 1, tzinfo=UTC)
    require_consistent(gate, 4)


@pytest.fixture
def mismatched(template: Environment, tmp_path: Path) -> Iterator[Gate]:
    """A registered model that was deleted and created again after version 2 was promoted; 4 is challenger."""
    with opened_gate(template.copied(tmp_path)) as gate:
        with gate.locked():
            gate.apply(promoting(2, None))
        gate.client.delete_registered_model_alias(NAME, "champion")
        gate.client.delete_registered_model_tag(NAME, champion_change.HEAD)
        gate.client.set_model_version_tag(NAME, "2", "stage", "Development")
        yield set_challenger(gate, 4)


def test_another_model_of_the_same_name_does_not_inherit_the_champion(mismatched: Gate) -> None:
    with pytest.raises(
        LedgerBroken, match=r"the registered model has no tag ledger_head(?s:.*)run reset-ledger --use-case people"
    ):
        mismatched.promote()
    assert champion(mismatched) is None


def test_reset_ledger_starts_a_new_chain_for_another_model_of_the_same_name(mismatched: Gate) -> None:
    mismatched.reset_ledger("the registry was lost")
    assert actions(mismatched) == [("promoted", None, 2), ("ledger_reset", 2, None)]
    with pytest.raises(RollbackRefused, match="version 2 of people was never champion"):
        mismatched.rollback(2, "champion of the deleted model")
    assert mismatched.promote().champion is None
    require_consistent(mismatched, 4)
    with pytest.raises(ResetRefused, match="matches its registered model"):
        mismatched.reset_ledger("again")


def test_an_interrupted_reset_can_be_repeated(mismatched: Gate) -> None:
    with pytest.raises(MlflowException):
        fault_injection.with_fault(mismatched, fault_injection.Writes(1, fault_injection.raise_error)).reset_ledger(
            "the registry was lost"
        )
    mismatched.reset_ledger("the registry was lost")
    mismatched.promote()
    require_consistent(mismatched, 4)


def test_reset_ledger_after_a_lost_ledger_keeps_the_champion(gate: Gate, environment: Environment) -> None:
    (environment.warehouse / "deployment" / TABLE.table).rename(environment.warehouse / "away")
    with pytest.raises(MlflowException):
        fault_injection.with_fault(gate, fault_injection.Writes(1, fault_injection.raise_error)).reset_ledger(
            "the disk broke"
        )
    gate.reset_ledger("the disk broke")
    assert actions(gate)[-1] == ("repaired", None, 2)
    require_consistent(gate, 2)


def test_an_edited_stage_is_detected_and_repaired(gate: Gate) -> None:
    gate.client.set_model_version_tag(NAME, "1", "stage", "Development")
    problems = audit(gate.client, NAME, History(gate.ledger.entries(NAME)))
    assert problems == ["version 1 has stage Development, expected Archived (a former champion)"]
    require_consistent(gate, 2)


def test_a_champion_moved_by_another_client_stops_the_promotion(gate: Gate) -> None:
    decision = promoting(4, 2)
    gate.client.set_registered_model_alias(NAME, "champion", "3")
    with pytest.raises(ChampionChanged, match="changed meanwhile from version 2 to version 3"):
        gate.apply(decision)
    require_consistent(gate, 3)


def test_a_deleted_challenger_is_not_promoted(gate: Gate) -> None:
    gate.client.delete_model_version(NAME, "4")
    with pytest.raises(MlflowException):
        promote(gate)
    require_consistent(gate, 2)


def test_a_deleted_alias_champion_is_restored(gate: Gate) -> None:
    gate.client.delete_registered_model_alias(NAME, "champion")
    with gate.locked():
        pass
    require_consistent(gate, 2)


def test_a_deleted_champion_has_a_hint_to_roll_back(gate: Gate) -> None:
    gate.client.delete_model_version(NAME, "2")
    for command in (gate.promote, lambda: gate.rollback(None, "gone"), lambda: gate.freeze("gone")):
        with pytest.raises(ChampionDeleted, match="rollback --use-case people --to 1"):
            command()
    gate.rollback(1, "version 2 was deleted")
    require_consistent(gate, 1)
    assert gate.evaluate().champion == 1


def test_after_every_champion_was_deleted_the_next_is_a_first_champion(gate: Gate) -> None:
    for version in ("1", "2"):
        gate.client.delete_model_version(NAME, version)
    with gate.locked():
        pass
    assert actions(gate) == [*BEFORE, ("repaired", 2, None)]
    assert gate.promote().champion is None
    require_consistent(gate, 4)


def test_a_truncated_ledger_stops_every_command(gate: Gate, environment: Environment) -> None:
    ledger = environment.warehouse / "deployment" / TABLE.table
    table = DeltaTable(ledger)
    newest = ledger / "_delta_log" / f"{table.version():020}.json"
    newest.unlink()
    for command in (promote, lambda each: each.promote(), lambda each: each.rollback(None, "no")):
        with pytest.raises(LedgerBroken, match=r"but the registry records \w{12}"):
            command(gate)
    assert champion(gate) == 2


def test_a_missing_ledger_stops_every_command(gate: Gate, environment: Environment) -> None:
    gate.freeze("holidays")  # records that the ledger lies here
    (environment.warehouse / "deployment" / TABLE.table).rename(environment.warehouse / "away")
    with pytest.raises(LedgerBroken, match="it has no entries"):
        promote(gate)
    (environment.warehouse / "away").rename(environment.warehouse / "deployment" / TABLE.table)
    promote(gate)
    require_consistent(gate, 4)


def newest(files: Iterable[Path]) -> Path:
    return max(files, key=lambda file: file.stat().st_mtime_ns)


def truncate_a_file(ledger: Path) -> None:
    file = newest(ledger.glob("*.parquet"))
    file.write_bytes(file.read_bytes()[:100])


def delete_a_file(ledger: Path) -> None:
    newest(ledger.glob("*.parquet")).unlink()


def truncate_a_commit(ledger: Path) -> None:
    file = newest(ledger.glob("_delta_log/*.json"))
    file.write_text(file.read_text()[:100])


@pytest.mark.parametrize("damage", [truncate_a_file, delete_a_file, truncate_a_commit])
def test_an_unreadable_ledger_stops_every_command(
    gate: Gate, environment: Environment, damage: Callable[[Path], None]
) -> None:
    damage(environment.warehouse / "deployment" / TABLE.table)
    for command in (promote, lambda each: each.promote(), lambda each: each.rollback(None, "no")):
        with pytest.raises(LedgerBroken, match=r"it cannot be read: .*\n.*from a backup"):
            command(gate)
    assert champion(gate) == 2


def test_missing_or_invalid_ledger_tags_stop_the_promotion(gate: Gate) -> None:
    head = gate.client.get_registered_model(NAME).tags[champion_change.HEAD]
    gate.client.delete_registered_model_tag(NAME, champion_change.HEAD)
    with pytest.raises(LedgerBroken, match="the registered model has no tag ledger_head"):
        promote(gate)
    gate.client.set_registered_model_tag(NAME, champion_change.HEAD, head)
    gate.client.set_registered_model_tag(NAME, champion_change.PENDING, "{}")
    with pytest.raises(
        LedgerBroken, match="the tag ledger_pending of the registered model is not a valid entry; delete the tag"
    ):
        promote(gate)
    gate.client.delete_registered_model_tag(NAME, champion_change.PENDING)
    require_consistent(gate, 2)


def test_leftovers_of_an_interrupted_write_are_ignored(gate: Gate, environment: Environment) -> None:
    ledger = environment.warehouse / "deployment" / TABLE.table
    (ledger / "part-0-half.parquet").write_bytes(b"PAR1")
    (ledger / "_delta_log" / "_commit_half.json.tmp").write_bytes(b"{")
    promote(gate)
    require_consistent(gate, 4)


def test_a_ledger_that_cannot_be_written_to_stops_the_promotion(
    gate: Gate, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("lakehouse.tables.warehouse.NamedTemporaryFile", refuse)
    with pytest.raises(LakehouseError, match="cannot be written to: Permission denied"):
        promote(gate)
    monkeypatch.undo()
    require_consistent(gate, 2)
