"""The gate on real versions: models in a real registry, evaluated on real Delta tables."""

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
    NAME,
    USE_CASE,
    WRONG_LABELS,
    Environment,
    champion,
    opened_gate,
    set_challenger,
    threshold_of,
)
from training.use_case.use_case import UseCase


def test_each_version_is_evaluated_with_its_own_decision_threshold(environment: Environment) -> None:
    with opened_gate(environment, metric="accuracy", guards={"max_changed_decisions": 0.99}) as gate:
        set_challenger(gate, 1)
        gate.apply(gate.evaluate())
        set_challenger(gate, 2)
        reasons = {reason.criterion: reason for reason in gate.evaluate().reasons}
        pinned = holdout.rebuild(gate.use_case, gate.client.get_model_version(NAME, "2"), gate.store())
        loaded = {number: LoadedVersion.load(gate.client.get_model_version(NAME, str(number))) for number in (1, 2)}
    assert [each.scorer.response_format.threshold for each in loaded.values()] == [0.47, 0.5]
    decisions = {
        number: each.scorer.predict(pinned.rows.features) >= threshold_of(WRONG_LABELS[number])
        for number, each in loaded.items()
    }
    expected = {f"version {number}": np.mean(predicted == pinned.rows.y) for number, predicted in decisions.items()}
    assert reasons["gain in accuracy over version 1"].values == pytest.approx(expected)
    changed = reasons["share of changed decisions"].values["version 2"]
    assert changed == pytest.approx(np.mean(decisions[1] != decisions[2]))


def test_a_verdict_is_stored_as_json_and_html_without_temporary_files(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (scratch := tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    decision = set_challenger(gate, 1).promote()
    version = gate.client.get_model_version(NAME, "1")
    assert version.tags[verdict.DIGEST] == decision.digest()
    assert version.tags[verdict.VERDICT] == "promoted"
    assert verdict.load(gate.client, NAME, 1, decision.digest()) == decision
    page = load_text(f"runs:/{version.run_id}/{verdict.artifact_path(decision.digest(), 'html')}")
    assert page.startswith("<!doctype html>")
    assert all(reason.criterion in page for reason in decision.reasons)
    # The column "met" comes first, since a phone hides the columns on the right.
    assert '<th scope="row">minimum roc_auc</th><td class="yes">yes</td>' in page
    with pytest.raises(verdict.VerdictUnavailable):
        verdict.load(gate.client, NAME, 1, "0" * 64)
    assert list(scratch.iterdir()) == []


def test_guards_measure_the_version(environment: Environment) -> None:
    guards = {
        "max_p99_ms": 10_000, "max_size_mb": 50, "max_calibration_error": 0.9, "max_changed_decisions": 0.99,
        "slices": ["height"], "min_slice_rows": 1, "max_slice_drop": 0.99,
    }  # fmt: skip
    with opened_gate(environment, guards=guards) as gate:
        set_challenger(gate, 1).promote()
        decision = set_challenger(gate, 2).evaluate()
    reasons = {reason.criterion: reason for reason in decision.reasons}
    time, size = reasons["p99 latency, ms"], reasons["model size, MB"]
    assert all(value is not None and value > 0 for value in (time.values["version 2"], size.values["version 2"]))
    assert reasons["input schema compatible with version 1"].passed
    # The metric is undefined on slices of one row, so nothing is promoted.
    assert not decision.promote


def test_a_missing_slice_column_is_refused(environment: Environment) -> None:
    with (
        opened_gate(environment, guards={"slices": ["heigth"]}) as gate,
        pytest.raises(HoldoutRefused, match=r"no column 'heigth' for slices\. Did you mean 'height'"),
    ):
        set_challenger(gate, 1).evaluate()


def test_rows_added_after_training_do_not_change_the_verdict(gate: Gate, environment: Environment) -> None:
    before = set_challenger(gate, 2).evaluate()
    times = pa.array([datetime(2030, 1, 1, tzinfo=UTC)] * 2, pa.timestamp("us", "UTC"))
    more = pa.table({"person": [900, 901], "at": times, "label": pa.array([0, 1], pa.int64())})
    write_deltalake(environment.warehouse / "gold/labels", more, mode="append")
    assert gate.evaluate() == before


def train_champion_into_holdout(gate: Gate, days: int) -> None:
    """Make version 1 the champion, trained on the first `days` days of the holdout."""
    set_challenger(gate, 1).promote()
    start = datetime.fromisoformat(gate.client.get_model_version(NAME, "1").tags["holdout_from"])
    until = start.replace(tzinfo=UTC).timestamp() + (days - 1) * 86_400
    gate.client.set_model_version_tag(NAME, "1", "data_last", datetime.fromtimestamp(until, UTC).isoformat())
    set_challenger(gate, 2)


def test_training_rows_of_the_champion_are_excluded(gate: Gate) -> None:
    train_champion_into_holdout(gate, 10)
    decision = gate.evaluate()
    rows = next(reason for reason in decision.reasons if reason.criterion == "holdout rows")
    assert rows.values == {"rows": 110, "excluded": 10}
    assert decision.promote


def test_too_few_unseen_rows_promote_nothing(gate: Gate) -> None:
    train_champion_into_holdout(gate, 21)
    assert [r.criterion for r in gate.promote().reasons if not r.passed] == ["holdout rows"]


@pytest.mark.parametrize(("overlap", "days"), [("refuse", 1), ("exclude", 120)])
def test_an_overlap_is_refused_by_policy_or_without_remaining_rows(
    environment: Environment, overlap: str, days: int
) -> None:
    with opened_gate(environment, overlap=overlap) as gate:
        train_champion_into_holdout(gate, days)
        with pytest.raises(HoldoutRefused, match="version 1 was trained on rows up to"):
            gate.promote()


def test_a_challenger_that_fails_its_golden_request_is_not_evaluated(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_challenger(gate, 1)
    monkeypatch.setattr(loaded_version, "nearly_equal", lambda _found, _expected: False)
    with pytest.raises(
        VersionBroken, match="version 1 of people cannot be used: it responds to its golden request with"
    ):
        gate.promote()
    assert (champion(gate), gate.ledger.entries(NAME)) == (None, [])


def test_a_guard_that_does_not_apply_to_the_task_is_refused() -> None:
    declaration = USE_CASE.model_dump() | {"task": "regression", "search": {"families": ["knn"], "metric": "rmse"}}
    declaration["promotion"] = {"metric": "rmse", "minimum": 1, "guards": {"max_calibration_error": 0.1}}
    with pytest.raises(ValueError, match="max_calibration_error cannot be measured for a regression task"):
        UseCase.model_validate(declaration)
