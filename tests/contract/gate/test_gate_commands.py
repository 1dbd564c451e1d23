"""What people say and ask: promote, roll back, freeze, approve, history and verify, on real versions."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from deployment.commands import history, open_gate
from deployment.gate.audit import audit
from deployment.gate.gate import Gate, ReasonRefused, RollbackRefused
from deployment.gate.loaded_version import LoadedVersion, VersionBroken
from deployment.ledger.history import History
from deployment.model_server.process import server_process
from tests.contract.people import (
    NAME,
    USE_CASE,
    Place,
    actions,
    champion,
    command,
    let_challenge,
    mlflow_as_before,
    opened,
)
from tests.ports import free_port
from training.use_case.use_case import load

Run = Callable[..., str]


@pytest.fixture
def run(place: Place) -> Iterator[Run]:
    """Runs a command of `deployment.run` here; its output, after checking how it exited."""
    with mlflow_as_before(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", place.settings.tracking_uri)
        patch.setenv("LAKEHOUSE_WAREHOUSE", str(place.warehouse))
        patch.setattr(open_gate, "load", lambda _name: USE_CASE)
        patch.setattr(history, "load", lambda name: USE_CASE if name == NAME else load(name))
        patch.setattr(server_process, "running", lambda _settings: None)
        yield command


def test_from_a_first_champion_to_a_rollback_the_history_tells_exactly_that(gate: Gate, run: Run) -> None:
    let_challenge(gate, 1)
    assert "Version 1 is the champion." in run("promote")
    let_challenge(gate, 2)
    assert "Version 2 is the champion." in run("promote", "--version", "2")
    let_challenge(gate, 3)
    assert "Version 3 is not promoted; version 2 stays the champion." in run("promote", exits=3)
    let_challenge(gate, 4)
    before = datetime.now(UTC)
    assert "Version 4 is the champion." in run("promote")
    assert "Version 2 is the champion." in run("rollback", "--reason", "it offers nothing to the young")
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
    assert "5 entries, and the registry is as they say" in run("verify")
    assert "rolled_back" in run("history")
    aliases = {alias: int(version) for alias, version in gate.client.get_registered_model(NAME).aliases.items()}
    assert aliases == {"champion": 2, "previous": 1}
    stages = {int(v.version): v.tags["stage"] for v in gate.client.search_model_versions(f"name = '{NAME}'")}
    assert stages == {1: "Archived", 2: "Production", 3: "Development", 4: "Archived"}


def test_a_dry_run_shows_the_verdict_and_changes_nothing(gate: Gate, run: Run, place: Place) -> None:
    let_challenge(gate, 1)
    files = sorted(place.warehouse.rglob("*"))
    tags = gate.client.get_model_version(NAME, "1").tags
    assert "meets every criterion" in run("promote", "--dry-run")
    assert (champion(gate), gate.ledger.entries(NAME)) == (None, [])
    assert (sorted(place.warehouse.rglob("*")), gate.client.get_model_version(NAME, "1").tags) == (files, tags)
    run("promote")
    let_challenge(gate, 3)
    assert "A dry run: nothing was changed" in run("promote", "--dry-run", exits=3)
    assert actions(gate) == [("promoted", None, 1)]


def test_a_past_verdict_is_shown_as_it_was(gate: Gate, run: Run) -> None:
    let_challenge(gate, 3)
    run("promote", exits=3 if not gate.judge().promote else 0)
    shown = run("promote", "--explain", "3")
    assert "minimum roc_auc" in shown
    assert "Judged by" in shown
    assert "version 4 of people was never judged" in run("promote", "--explain", "4", exits=1)


def test_a_history_whose_end_was_cut_off_is_not_told(gate: Gate, run: Run, place: Place) -> None:
    for version in (1, 2):
        let_challenge(gate, version)
        run("promote")
    max((place.warehouse / "deployment").glob("*/_delta_log/*.json")).unlink()
    assert "Put the table deployment.ledger back" in run("verify", exits=1)
    assert "the registry knows" in run("history", exits=1)
    assert "the registry knows" in run("history", "--at", "2020-01-01", exits=1)


def test_a_history_of_nothing_says_so_and_one_of_no_use_case_is_refused(place: Place, run: Run) -> None:
    assert "Nothing has happened to people yet" in run("history")
    assert "no champion" in run("history", "--at", "2020-01-01")
    assert "'yesterday' is no time: say a day (2026-11-27), or" in run("history", "--at", "yesterday", exits=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.contract.people.NAME", "churns")
        assert "Did you mean 'churn'?" in run("history", exits=1)


@pytest.mark.parametrize("command", [("promote",), ("rollback", "--reason", "x"), ("history",), ("verify",)])
def test_a_registry_that_is_down_is_told_with_what_becomes_of_the_command(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    told = run(*command, exits=1)
    assert "Connection refused" in told
    assert "then run the command again: it finishes what was begun" in told
    assert "training" not in told


def test_a_freeze_stops_promotion_and_leaves_the_way_back_open(gate: Gate, run: Run) -> None:
    for version in (1, 2):
        let_challenge(gate, version)
        run("promote")
    run("freeze", "--reason", "holidays [/ops]")
    let_challenge(gate, 4)
    assert "[/ops]" in run("promote", exits=3)
    assert "[/ops]" in run("history")
    run("rollback", "--reason", "complaints")
    assert champion(gate) == 1
    run("unfreeze", "--reason", "back")
    run("promote")
    assert champion(gate) == 4


def test_a_manual_approval_counts_until_the_champion_changes(place: Place) -> None:
    with opened(place, approval="manual") as gate:
        let_challenge(gate, 1)
        assert not gate.promote().promote
        gate.approve(1, "seen")
        assert gate.promote().promote
        let_challenge(gate, 2)
        gate.approve(2, "seen too")
        assert gate.client.get_model_version(NAME, "2").tags["approval"] == "Approved"
        assert gate.promote().promote
        gate.rollback(None, "no")
        let_challenge(gate, 2)
        assert not gate.promote().promote


def test_a_rollback_goes_only_where_a_champion_was(gate: Gate, run: Run) -> None:
    let_challenge(gate, 1).promote()
    with pytest.raises(RollbackRefused, match="people has no champion before this one to go back to\n"):
        gate.rollback(None, "no")
    with pytest.raises(RollbackRefused, match="version 3 of people was never its champion; once champions: 1"):
        gate.rollback(3, "no")
    assert gate.rollback(1, "again") == 1
    assert "Version 1 is the champion already: nothing was changed." in run("rollback", "--to", "1", "--reason", "no")
    assert actions(gate) == [("promoted", None, 1)]


def test_a_rollback_refuses_what_answers_differently_from_when_it_was_registered(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in (1, 2):
        let_challenge(gate, version).promote()
    loaded = LoadedVersion.load

    def drifted(version: object) -> LoadedVersion:
        found = loaded(version)  # type: ignore[arg-type]
        *answers, _ = found.metadata["golden_answer"]
        metadata = {**found.metadata, "golden_answer": [*answers, {"probability": 0.123}]}
        return LoadedVersion(found.version, found.scorer, found.size, found.inputs, metadata)

    monkeypatch.setattr(LoadedVersion, "load", drifted)
    with pytest.raises(VersionBroken, match=r"and answered \{'probability': 0\.123\} when registered"):
        gate.rollback(None, "no")
    assert champion(gate) == 2


@pytest.mark.parametrize("reason", ["", "   ", "x" * 301])
def test_a_reason_says_something_and_not_too_much(gate: Gate, reason: str) -> None:
    with pytest.raises(ReasonRefused, match="a reason has 1 to 300 characters"):
        gate.freeze(reason)
    assert gate.ledger.entries(NAME) == []


def test_what_moved_without_a_command_is_found_and_recorded_once(gate: Gate, run: Run) -> None:
    let_challenge(gate, 1).promote()
    gate.client.set_registered_model_alias(NAME, "champion", "2")
    moved = "the alias champion is at version 2, and by the ledger at version 1"
    assert moved in audit(gate.client, NAME, History(gate.ledger.entries(NAME)))
    assert moved in run("verify", exits=1)
    assert moved in run("verify", "--repair")
    assert moved not in run("verify", "--repair")
    assert actions(gate) == [("promoted", None, 1), ("repaired", 1, 2)]
    assert audit(gate.client, NAME, History(gate.ledger.entries(NAME))) == []
