"""The decision: golden cases, and invalid predictions."""

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from deployment.gate.criteria.decision import Scores
from scoring.tasks import BINARY
from tests.unit.gate import contests
from tests.unit.gate.contests import (
    GOOD,
    HASH,
    INPUTS,
    LABELS,
    OTHER_HASH,
    WEAK,
    failed,
    judged,
    policy,
    scores,
    simulated,
)
from training.evaluation.metrics import metrics_of

with (Path(__file__).parents[2] / "golden" / "verdicts.csv").open(encoding="utf-8") as _file:
    CASES = list(csv.DictReader(_file))
OVERCONFIDENT = 0.7 + 0.3 * GOOD  # same order, with much too high probabilities
COHORT = np.arange(400) % 2
# 120 rows of label 1, and the rest with both labels.
ONE_CLASS = (LABELS == 1) & (np.cumsum(LABELS) <= 120)
CHANGING = policy("f1", guards={"max_changed_decisions": 1})
# Good except in one cohort, where predictions are random.
UNEVEN = np.where(COHORT == 1, simulated(LABELS, 0.0, 3), simulated(LABELS, 5.0, 4))
PREDICTIONS = {
    "good": GOOD,
    "weak": WEAK,
    "sure": OVERCONFIDENT,
    "uneven": UNEVEN,
    "constant": np.full(len(LABELS), 0.4),
    "elsewhere": WEAK,
    "nan": np.where(np.arange(len(LABELS)) == 7, np.nan, GOOD),
    "above": np.where(np.arange(len(LABELS)) == 7, 1.01, GOOD),
    "below": np.where(np.arange(len(LABELS)) == 7, -0.01, GOOD),
    "infinite": np.where(np.arange(len(LABELS)) == 7, np.inf, GOOD),
    "short": GOOD[:-1],
    "long": np.append(GOOD, 0.5),
    "column": GOOD.reshape(-1, 1),
}
MEASURED: dict[str, dict[str, Any]] = {
    "": {},
    "slow": {"p99_ms": 9.0},
    "slower than any clock": {"p99_ms": float("nan")},
    "large": {"size_mb": 9.0},
    "not measured": {"p99_ms": None, "size_mb": None, "inputs": None},
    "another type": {"inputs": INPUTS | {"age": replace(INPUTS["age"], type="string")}},
    "an input less": {"inputs": {"age": INPUTS["age"]}},
    "an input more": {"inputs": INPUTS | {"income": replace(INPUTS["age"], required=True)}},
    "an optional input more": {"inputs": INPUTS | {"income": replace(INPUTS["age"], required=False)}},
    "a stricter input": {"inputs": INPUTS | {"job": replace(INPUTS["job"], required=True)}},
}


@pytest.fixture(autouse=True, scope="module")
def fewer_draws() -> Iterator[None]:
    patch = contests.few_draws()
    yield
    patch.undo()


def of(version: int, kind: str, found: str = "") -> Scores:
    """Scores of a version by the name of its predictions; `good at 0.9` sets the threshold 0.9."""
    answers, _, threshold = kind.partition(" at ")
    holdout = OTHER_HASH if answers == "elsewhere" else HASH
    return scores(
        version, PREDICTIONS[answers], holdout, contests.measured(**MEASURED[found]), float(threshold or 0.5)
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["case"]))
def test_verdicts(case: dict[str, str]) -> None:
    champion = of(1, case["champion"]) if case["champion"] else None
    also = yaml.safe_load(case["also"] or "{}")
    rule = policy(case["metric"], float(case["minimum"]), **({"margin": float(case["margin"])} | also))
    overrides = yaml.safe_load(case["overrides"] or "{}")
    slices = {"cohort": COHORT, "row": np.arange(400), "one class": ONE_CLASS.astype(np.int64)}
    decision = judged(LABELS, of(2, case["challenger"], case["measured"]), champion, rule, slices=slices, **overrides)
    assert decision.promote == (case["promote"] == "yes")
    assert failed(decision) == [name for name in case["fails"].split("; ") if name]


@settings(max_examples=40)
@given(row=st.integers(0, len(LABELS) - 1), value=st.sampled_from([np.nan, np.inf, -np.inf, -1e-9, 1 + 1e-9]))
def test_one_invalid_probability_prevents_promotion(row: int, value: float) -> None:
    broken = GOOD.copy()
    broken[row] = value
    for challenger, champion in ((broken, WEAK), (GOOD, broken), (broken, None)):
        assert not judged(LABELS, challenger, champion, policy(margin=1)).promote


@settings(max_examples=20)
@given(row=st.integers(0, len(LABELS) - 1), value=st.sampled_from([np.nan, 2.0, -1.0, 0.5]))
def test_one_invalid_label_prevents_promotion(row: int, value: float) -> None:
    broken = LABELS.astype(np.float64)
    broken[row] = value
    assert not judged(broken, GOOD, WEAK, policy(margin=1)).promote


def test_holdout_without_rows_prevents_promotion() -> None:
    nothing = np.array([], dtype=np.int64)
    assert not judged(nothing, np.array([]), None, policy()).promote


@settings(max_examples=10)
@given(others=st.tuples(st.integers(1, 4), st.integers(1, 4)).filter(lambda pair: pair != (2, 1)))
def test_scores_of_other_versions_prevent_promotion(others: tuple[int, int]) -> None:
    one, other = (scores(version, answers) for version, answers in zip(others, (GOOD, WEAK), strict=True))
    decision = judged(LABELS, one, other, policy(margin=1))
    assert set(failed(decision)) <= {"valid predictions of version 2", "valid predictions of version 1"}
    assert not decision.promote


def test_missing_or_unexpected_champion_prevents_promotion() -> None:
    from deployment.gate.criteria.decide import decide
    from deployment.gate.criteria.decision import GateState, HoldoutRows

    rows = HoldoutRows(BINARY, HASH, LABELS)
    missing = decide(rows, scores(2, GOOD), None, policy(), GateState(2, 1))
    assert failed(missing) == ["valid predictions of version 1"]
    stranger = decide(rows, scores(2, GOOD), scores(1, WEAK), policy(), GateState(2, None))
    assert failed(stranger) == ["valid predictions of version None"]


@settings(max_examples=10)
@given(thresholds=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_each_version_is_measured_at_its_own_threshold(thresholds: tuple[float, float]) -> None:
    new, old = (scores(version, GOOD, threshold=each) for version, each in zip((2, 1), thresholds, strict=True))
    by_threshold = [each <= GOOD for each in thresholds]
    reasons = {each.criterion: each for each in judged(LABELS, new, old, CHANGING).reasons}
    gain, changed = reasons["gain in f1 over version 1"], reasons["share of changed decisions"]
    expected = [f1_score(LABELS, simulated, zero_division=0) for simulated in by_threshold]
    assert [gain.values["version 2"], gain.values["version 1"]] == pytest.approx(expected)
    share = float(np.mean(by_threshold[0] != by_threshold[1]))
    assert changed.values["version 2"] == pytest.approx(share)
    assert reasons["predictions differ from version 1"].passed is (share > 0)


@settings(max_examples=10)
@given(
    threshold=st.sampled_from([np.nan, np.inf, -np.inf, -1e-9, 1 + 1e-9]),
    metric=st.sampled_from(sorted(metrics_of(BINARY))),
)
def test_invalid_threshold_prevents_promotion(threshold: float, metric: str) -> None:
    broken, rule = scores(2, GOOD, threshold=threshold), policy(metric, margin=1)
    assert failed(judged(LABELS, broken, WEAK, rule)) == ["valid predictions of version 2"]
    assert failed(judged(LABELS, broken, None, rule)) == ["valid predictions of version 2"]
    assert failed(judged(LABELS, GOOD, replace(broken, version=1), rule)) == ["valid predictions of version 1"]
