"""The gate on real versions: models in a real registry, judged on real Delta tables, by its commands."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from mlflow.artifacts import load_text

from deployment import contender, holdout, verdict
from deployment.audit import audit
from deployment.commands import gates
from deployment.contender import Contender, VersionBroken
from deployment.gate import Gate, ReasonRefused, RollbackRefused
from deployment.history import History
from deployment.holdout import HoldoutRefused
from deployment.model_server import process
from tests.contract.people import (
    MUDDLED,
    NAME,
    USE_CASE,
    Place,
    actions,
    champion,
    command,
    let_challenge,
    opened,
    threshold_of,
)
from training.use_case import UseCase

Run = Callable[..., str]


@pytest.fixture
def run(place: Place, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command of `deployment.run` here; its output, after checking how it exited."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", place.settings.tracking_uri)
    monkeypatch.setenv("LAKEHOUSE_WAREHOUSE", str(place.warehouse))
    monkeypatch.setattr(gates, "load", lambda _name: USE_CASE)
    monkeypatch.setattr(process, "running", lambda _settings: None)
    return command


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


def test_each_version_is_judged_by_the_threshold_that_it_was_registered_with(place: Place) -> None:
    with opened(place, metric="accuracy", guards={"max_changed_decisions": 1}) as gate:
        let_challenge(gate, 1)
        gate.apply(gate.judge())
        let_challenge(gate, 2)
        reasons = {reason.criterion: reason for reason in gate.judge().reasons}
        pinned = holdout.rebuild(gate.use_case, gate.client.get_model_version(NAME, "2"), gate.store())
        loaded = {number: Contender.load(gate.client.get_model_version(NAME, str(number))) for number in (1, 2)}
    assert [each.scorer.answering.threshold for each in loaded.values()] == [0.47, 0.5]
    decisions = {
        number: each.scorer.predicted(pinned.rows.features) >= threshold_of(MUDDLED[number])
        for number, each in loaded.items()
    }
    expected = {f"version {number}": np.mean(said == pinned.rows.y) for number, said in decisions.items()}
    assert reasons["gain in accuracy over version 1"].values == pytest.approx(expected)
    changed = reasons["share of changed decisions"].values["version 2"]
    assert changed == pytest.approx(np.mean(decisions[1] != decisions[2]))


def test_a_past_verdict_is_shown_as_it_was(gate: Gate, run: Run) -> None:
    let_challenge(gate, 3)
    run("promote", exits=3 if not gate.judge().promote else 0)
    shown = run("promote", "--explain", "3")
    assert "minimum roc_auc" in shown
    assert "Judged by" in shown
    assert "version 4 of people was never judged" in run("promote", "--explain", "4", exits=1)


def test_a_verdict_is_kept_as_json_and_as_a_page_and_leaves_nothing_else(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (scratch := tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    decision = let_challenge(gate, 1).promote()
    version = gate.client.get_model_version(NAME, "1")
    assert version.tags[verdict.DIGEST] == decision.digest()
    assert version.tags[verdict.VERDICT] == "promoted"
    assert verdict.find(gate.client, NAME, 1, decision.digest()) == decision
    page = load_text(f"runs:/{version.run_id}/{verdict.file_of(decision.digest(), 'html')}")
    assert page.startswith("<!doctype html>")
    assert all(reason.criterion in page for reason in decision.reasons)
    with pytest.raises(verdict.VerdictLost):
        verdict.find(gate.client, NAME, 1, "0" * 64)
    assert list(scratch.iterdir()) == []


def test_a_history_whose_end_was_cut_off_is_not_told(gate: Gate, run: Run, place: Place) -> None:
    for version in (1, 2):
        let_challenge(gate, version)
        run("promote")
    max((place.warehouse / "deployment").glob("*/_delta_log/*.json")).unlink()
    assert "the registry knows" in run("history", exits=1)
    assert "the registry knows" in run("history", "--at", "2020-01-01", exits=1)


def test_a_freeze_stops_promotion_and_leaves_the_way_back_open(gate: Gate, run: Run) -> None:
    for version in (1, 2):
        let_challenge(gate, version)
        run("promote")
    run("freeze", "--reason", "holidays")
    let_challenge(gate, 4)
    assert "holidays" in run("promote", exits=3)
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


def test_guards_are_measured_on_the_version_itself(place: Place) -> None:
    guards = {
        "max_p99_ms": 10_000, "max_size_mb": 50, "max_calibration_error": 0.9, "max_changed_decisions": 1,
        "slices": ["height"], "min_slice_rows": 1, "max_slice_drop": 1,
    }  # fmt: skip
    with opened(place, guards=guards) as gate:
        let_challenge(gate, 1).promote()
        decision = let_challenge(gate, 2).judge()
    found = {reason.criterion: reason for reason in decision.reasons}
    time, size = found["p99 of an answer, ms"], found["size of the files, MB"]
    assert all(value is not None and value > 0 for value in (time.values["version 2"], size.values["version 2"]))
    assert found["callers of version 1 are understood"].passed
    # Of single rows no metric is defined, and what is not defined promotes nothing.
    assert not decision.promote


def test_a_slice_by_a_column_that_is_not_there_is_refused(place: Place) -> None:
    with (
        opened(place, guards={"slices": ["heigth"]}) as gate,
        pytest.raises(HoldoutRefused, match=r"no column 'heigth' to cut slices by\. Did you mean 'height'"),
    ):
        let_challenge(gate, 1).judge()


def test_rows_that_came_after_the_training_change_no_verdict(gate: Gate, place: Place) -> None:
    before = let_challenge(gate, 2).judge()
    late = pa.array([datetime(2030, 1, 1, tzinfo=UTC)] * 2, pa.timestamp("us", "UTC"))
    more = pa.table({"person": [900, 901], "at": late, "label": pa.array([0, 1], pa.int64())})
    write_deltalake(place.warehouse / "gold/labels", more, mode="append")
    assert gate.judge() == before


def seen_by_the_champion(gate: Gate, days: int) -> None:
    """Let version 1, the champion, have been trained until so many days into the holdout."""
    let_challenge(gate, 1).promote()
    start = datetime.fromisoformat(gate.client.get_model_version(NAME, "1").tags["holdout.from"])
    until = start.replace(tzinfo=UTC).timestamp() + (days - 1) * 86_400
    gate.client.set_model_version_tag(NAME, "1", "data.last", datetime.fromtimestamp(until, UTC).isoformat())
    let_challenge(gate, 2)


def test_rows_that_the_champion_was_trained_on_are_left_out(gate: Gate) -> None:
    seen_by_the_champion(gate, 10)
    decision = gate.judge()
    rows = next(reason for reason in decision.reasons if reason.criterion == "rows of the holdout")
    assert rows.values == {"rows": 110, "excluded": 10}
    assert decision.promote


def test_too_few_rows_that_the_champion_has_not_seen_promote_nothing(gate: Gate) -> None:
    seen_by_the_champion(gate, 21)
    assert [r.criterion for r in gate.promote().reasons if not r.passed] == ["rows of the holdout"]


@pytest.mark.parametrize(("overlap", "days"), [("refuse", 1), ("exclude", 120)])
def test_an_overlap_is_refused_where_it_is_to_be_or_leaves_no_rows(place: Place, overlap: str, days: int) -> None:
    with opened(place, overlap=overlap) as gate:
        seen_by_the_champion(gate, days)
        with pytest.raises(HoldoutRefused, match="version 1 was trained on rows up to"):
            gate.promote()


def test_a_rollback_goes_only_where_a_champion_was(gate: Gate) -> None:
    let_challenge(gate, 1).promote()
    with pytest.raises(RollbackRefused, match="no champion before this one to go back to; once champions: 1"):
        gate.rollback(None, "no")
    with pytest.raises(RollbackRefused, match="version 3 of people was never its champion; once champions: 1"):
        gate.rollback(3, "no")
    assert gate.rollback(1, "again") == 1
    assert actions(gate) == [("promoted", None, 1)]


def test_a_rollback_refuses_what_answers_differently_from_when_it_was_registered(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in (1, 2):
        let_challenge(gate, version).promote()
    loaded = Contender.load

    def drifted(version: object) -> Contender:
        found = loaded(version)  # type: ignore[arg-type]
        *answers, _ = found.metadata["golden_answer"]
        metadata = {**found.metadata, "golden_answer": [*answers, {"probability": 0.123}]}
        return Contender(found.version, found.scorer, found.size, found.inputs, metadata)

    monkeypatch.setattr(Contender, "load", drifted)
    with pytest.raises(VersionBroken, match=r"and answered \{'probability': 0\.123\} when registered"):
        gate.rollback(None, "no")
    assert champion(gate) == 2


def test_a_challenger_that_answers_differently_from_when_it_was_registered_is_not_judged(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_challenge(gate, 1)
    monkeypatch.setattr(contender, "agree", lambda _found, _expected: False)
    with pytest.raises(VersionBroken, match="version 1 of people cannot be used: it answers its golden request with"):
        gate.promote()
    assert (champion(gate), gate.ledger.entries(NAME)) == (None, [])


@pytest.mark.parametrize("reason", ["", "   ", "x" * 301])
def test_a_reason_says_something_and_not_too_much(gate: Gate, reason: str) -> None:
    with pytest.raises(ReasonRefused, match="a reason has 1 to 300 characters"):
        gate.freeze(reason)
    assert gate.ledger.entries(NAME) == []


def test_what_moved_without_a_command_is_found_and_recorded_once(gate: Gate) -> None:
    let_challenge(gate, 1).promote()
    gate.client.set_registered_model_alias(NAME, "champion", "2")
    history = History(gate.ledger.entries(NAME))
    assert "the alias champion is at version 2, and by the ledger at version 1" in audit(gate.client, NAME, history)
    for _ in range(2):
        with gate.alone():
            pass
    assert actions(gate) == [("promoted", None, 1), ("repaired", 1, 2)]
    assert audit(gate.client, NAME, History(gate.ledger.entries(NAME))) == []


def test_a_guard_that_a_task_can_never_be_held_to_is_refused_with_the_use_case() -> None:
    said = USE_CASE.model_dump() | {"task": "regression", "search": {"families": ["knn"], "metric": "rmse"}}
    said["promotion"] = {"metric": "rmse", "minimum": 1, "guards": {"max_calibration_error": 0.1}}
    with pytest.raises(ValueError, match="max_calibration_error cannot be judged of a regression task"):
        UseCase.model_validate(said)
