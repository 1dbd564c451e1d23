"""The commands promote, rollback, freeze, approve, history and verify on real versions."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from deployment.commands import open_gate, use_cases
from deployment.gate.audit import audit
from deployment.gate.errors import ReasonRefused, RollbackRefused
from deployment.gate.gate import Gate
from deployment.gate.loaded_version import LoadedVersion, VersionBroken
from deployment.ledger.history import History
from deployment.model_server.process import server_process
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
from tests.ports import free_port
from training.use_case.use_case import load

Run = Callable[..., str]


@pytest.fixture
def run(environment: Environment) -> Iterator[Run]:
    """Run a command of `deployment.run`, check its exit code and return its output."""
    with mlflow_restored(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", environment.settings.tracking_uri)
        patch.setenv("LAKEHOUSE_WAREHOUSE", str(environment.warehouse))
        patch.setattr(use_cases, "load", lambda name, folder: USE_CASE if name == NAME else load(name, folder))
        patch.setattr(server_process, "running", lambda _settings: None)
        yield command


def test_the_history_lists_every_promotion_refusal_and_rollback(gate: Gate, run: Run) -> None:
    set_challenger(gate, 1)
    assert "Version 1 is the champion\n" in run("promote")
    set_challenger(gate, 2)
    assert "Version 2 is the champion\n" in run("promote", "--version", "2")
    set_challenger(gate, 3)
    assert "Version 3 is not promoted; version 2 stays the champion\n" in run("promote", exits=3)
    set_challenger(gate, 4)
    before = datetime.now(UTC)
    promoted = run("promote")
    assert "Version 4 is the champion\n" in promoted
    assert "0.338% for attempt 3, after 2 comparisons" in promoted
    assert "Version 2 is the champion\n" in run("rollback", "--reason", "it offers nothing to the young")
    entries = json.loads(run("history", "--json"))
    assert [(e["action"], e["version"], e["from_version"], e["to_version"]) for e in entries] == [
        ("promoted", 1, None, 1),
        ("promoted", 2, 1, 2),
        ("refused", 3, 2, 2),
        ("promoted", 4, 2, 4),
        ("rolled_back", 2, 4, 2),
    ]
    assert entries[-1]["reason"] == "it offers nothing to the young"
    assert all(len(entry["digest"]) == 64 for entry in entries)
    assert "version 2 was the champion of people: promoted by" in run("history", "--at", before.isoformat())
    assert run("history", "--at", f"{before:%Y-%m-%d %H:%M:%S.%f}") == run("history", "--at", before.isoformat())
    assert "people had no champion" in run("history", "--at", "2020-01-01")
    assert "5 entries verified; the registry matches" in run("verify")
    assert "rolled_back" in run("history")
    aliases = {alias: int(version) for alias, version in gate.client.get_registered_model(NAME).aliases.items()}
    assert aliases == {"champion": 2, "previous": 1}
    stages = {int(v.version): v.tags["stage"] for v in gate.client.search_model_versions(f"name = '{NAME}'")}
    assert stages == {1: "Archived", 2: "Production", 3: "Development", 4: "Archived"}


def test_a_dry_run_shows_the_verdict_and_changes_nothing(gate: Gate, run: Run, environment: Environment) -> None:
    set_challenger(gate, 1)
    files = sorted(environment.warehouse.rglob("*"))
    tags = gate.client.get_model_version(NAME, "1").tags
    assert "meets every criterion" in run("promote", "--dry-run")
    assert (champion(gate), gate.ledger.entries(NAME)) == (None, [])
    assert (sorted(environment.warehouse.rglob("*")), gate.client.get_model_version(NAME, "1").tags) == (files, tags)
    run("promote")
    set_challenger(gate, 3)
    assert "Dry run: nothing was changed" in run("promote", "--dry-run", exits=3)
    assert actions(gate) == [("promoted", None, 1)]


def test_a_freeze_is_recorded_before_the_endpoint_is_updated(
    gate: Gate, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen: list[str] = []
    monkeypatch.setattr(open_gate, "update_if_behind", lambda gate, _settings: frozen.append(actions(gate)[-1][0]))
    run("freeze", "--reason", "it answers nonsense")
    assert frozen == ["frozen"], "an endpoint that hangs would delay it by minutes"


def test_explain_shows_a_recorded_verdict(gate: Gate, run: Run) -> None:
    set_challenger(gate, 3)
    run("promote", exits=3 if not gate.evaluate().promote else 0)
    shown = run("promote", "--explain", "3")
    assert "minimum roc_auc" in shown
    assert "Evaluated by" in shown
    assert "version 4 of people has no verdict" in run("promote", "--explain", "4", exits=1)


def test_a_truncated_ledger_is_detected(gate: Gate, run: Run, environment: Environment) -> None:
    for version in (1, 2):
        set_challenger(gate, version)
        run("promote")
    max((environment.warehouse / "deployment").glob("*/_delta_log/*.json")).unlink()
    assert "Restore deployment.ledger (a table, or" in run("verify", exits=1)
    assert "the registry records" in run("history", exits=1)
    assert "the registry records" in run("history", "--at", "2020-01-01", exits=1)


def test_an_empty_history_is_reported_and_an_unknown_use_case_refused(environment: Environment, run: Run) -> None:
    assert "No entries for people" in run("history")
    assert "no champion" in run("history", "--at", "2020-01-01")
    assert "'yesterday' is not a time; examples: 2026-11-27," in run("history", "--at", "yesterday", exits=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.contract.people.NAME", "churns")
        assert "Did you mean 'churn'?" in run("history", exits=1)


@pytest.mark.parametrize("command", [("promote",), ("rollback", "--reason", "x"), ("history",), ("verify",)])
def test_a_registry_that_is_down_has_a_hint_to_repeat_the_command(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    output = run(*command, exits=1)
    assert "Connection refused" in output
    assert "then run the command again to complete it" in output
    assert "training" not in output


def test_a_freeze_blocks_promotion_but_not_rollback(gate: Gate, run: Run) -> None:
    for version in (1, 2):
        set_challenger(gate, version)
        run("promote")
    run("freeze", "--reason", "holidays [/ops]")
    set_challenger(gate, 4)
    assert "[/ops]" in run("promote", exits=3)
    assert "[/ops]" in run("history")
    run("rollback", "--reason", "complaints")
    assert champion(gate) == 1
    run("unfreeze", "--reason", "back")
    run("promote")
    assert champion(gate) == 4


def test_a_manual_approval_is_valid_until_the_champion_changes(environment: Environment) -> None:
    with opened_gate(environment, approval="manual") as gate:
        set_challenger(gate, 1)
        assert not gate.promote().promote
        gate.approve(1, "seen")
        assert gate.promote().promote
        set_challenger(gate, 2)
        gate.approve(2, "seen too")
        assert gate.client.get_model_version(NAME, "2").tags["approval"] == "Approved"
        assert gate.promote().promote
        gate.rollback(None, "no")
        set_challenger(gate, 2)
        assert not gate.promote().promote


def test_a_rollback_needs_a_former_champion(gate: Gate, run: Run) -> None:
    set_challenger(gate, 1).promote()
    with pytest.raises(RollbackRefused, match="people has no previous champion to roll back to\n"):
        gate.rollback(None, "no")
    with pytest.raises(RollbackRefused, match="version 3 of people was never champion; champions so far: 1"):
        gate.rollback(3, "no")
    assert gate.rollback(1, "again") == 1
    assert "Version 1 is already the champion: no change" in run("rollback", "--to", "1", "--reason", "no")
    assert actions(gate) == [("promoted", None, 1)]


def test_a_rollback_refuses_a_version_that_fails_its_golden_request(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in (1, 2):
        set_challenger(gate, version).promote()
    loaded = LoadedVersion.load

    def drifted(version: object) -> LoadedVersion:
        original = loaded(version)  # type: ignore[arg-type]
        *responses, _ = original.metadata["golden_response"]
        metadata = {**original.metadata, "golden_response": [*responses, {"probability": 0.123}]}
        return LoadedVersion(original.version, original.scorer, original.size, original.inputs, metadata)

    monkeypatch.setattr(LoadedVersion, "load", drifted)
    with pytest.raises(VersionBroken, match=r"registered was \{'probability': 0\.123\}"):
        gate.rollback(None, "no")
    assert champion(gate) == 2


@pytest.mark.parametrize("reason", ["", "   ", "x" * 301])
def test_an_empty_or_too_long_reason_is_refused(gate: Gate, reason: str) -> None:
    with pytest.raises(ReasonRefused, match="a reason needs 1 to 300 characters"):
        gate.freeze(reason)
    assert gate.ledger.entries(NAME) == []


def test_an_alias_moved_outside_of_the_project_is_detected_and_recorded_once(gate: Gate, run: Run) -> None:
    set_challenger(gate, 1).promote()
    gate.client.set_registered_model_alias(NAME, "champion", "2")
    moved = "the alias champion points to version 2, in the ledger to version 1"
    assert moved in audit(gate.client, NAME, History(gate.ledger.entries(NAME)))
    assert moved in run("verify", exits=1)
    assert moved in run("verify", "--repair")
    assert moved not in run("verify", "--repair")
    assert actions(gate) == [("promoted", None, 1), ("repaired", 1, 2)]
    assert audit(gate.client, NAME, History(gate.ledger.entries(NAME))) == []
