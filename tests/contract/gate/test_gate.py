"""What the gate finds of real versions: models in a real registry, judged on real Delta tables."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from mlflow.artifacts import load_text

from deployment.gate import holdout, loaded_version, verdict
from deployment.gate.gate import Gate
from deployment.gate.holdout import HoldoutRefused
from deployment.gate.loaded_version import LoadedVersion, VersionBroken
from tests.contract.people import (
    MUDDLED,
    NAME,
    USE_CASE,
    Place,
    champion,
    let_challenge,
    opened,
    threshold_of,
)
from training.use_case.use_case import UseCase


def test_each_version_is_judged_by_the_threshold_that_it_was_registered_with(place: Place) -> None:
    with opened(place, metric="accuracy", guards={"max_changed_decisions": 1}) as gate:
        let_challenge(gate, 1)
        gate.apply(gate.judge())
        let_challenge(gate, 2)
        reasons = {reason.criterion: reason for reason in gate.judge().reasons}
        pinned = holdout.rebuild(gate.use_case, gate.client.get_model_version(NAME, "2"), gate.store())
        loaded = {number: LoadedVersion.load(gate.client.get_model_version(NAME, str(number))) for number in (1, 2)}
    assert [each.scorer.answering.threshold for each in loaded.values()] == [0.47, 0.5]
    decisions = {
        number: each.scorer.predicted(pinned.rows.features) >= threshold_of(MUDDLED[number])
        for number, each in loaded.items()
    }
    expected = {f"version {number}": np.mean(said == pinned.rows.y) for number, said in decisions.items()}
    assert reasons["gain in accuracy over version 1"].values == pytest.approx(expected)
    changed = reasons["share of changed decisions"].values["version 2"]
    assert changed == pytest.approx(np.mean(decisions[1] != decisions[2]))


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
    # On a telephone the columns to the right are out of sight.
    assert '<th scope="row">minimum roc_auc</th><td class="yes">yes</td>' in page
    with pytest.raises(verdict.VerdictLost):
        verdict.find(gate.client, NAME, 1, "0" * 64)
    assert list(scratch.iterdir()) == []


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


def test_a_challenger_that_answers_differently_from_when_it_was_registered_is_not_judged(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_challenge(gate, 1)
    monkeypatch.setattr(loaded_version, "agree", lambda _found, _expected: False)
    with pytest.raises(VersionBroken, match="version 1 of people cannot be used: it answers its golden request with"):
        gate.promote()
    assert (champion(gate), gate.ledger.entries(NAME)) == (None, [])


def test_a_guard_that_a_task_can_never_be_held_to_is_refused_with_the_use_case() -> None:
    said = USE_CASE.model_dump() | {"task": "regression", "search": {"families": ["knn"], "metric": "rmse"}}
    said["promotion"] = {"metric": "rmse", "minimum": 1, "guards": {"max_calibration_error": 0.1}}
    with pytest.raises(ValueError, match="max_calibration_error cannot be judged of a regression task"):
        UseCase.model_validate(said)
