"""Comparisons of two versions for every task: both cannot win, and invalid predictions never win."""

import json
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.arrays import Floats
from scoring.tasks import BINARY, MULTICLASS, REGRESSION
from tests.unit.gate import contests
from tests.unit.gate.contests import HASH, failed, judged, labels, policy, simulated
from training.evaluation.metrics import metrics_of


@pytest.fixture(autouse=True, scope="module")
def fewer_draws() -> Iterator[None]:
    patch = contests.few_draws()
    yield
    patch.undo()


@settings(max_examples=8)
@given(
    seed=st.integers(0, 10_000),
    metric=st.sampled_from(sorted(metrics_of(BINARY))),
    signals=st.tuples(st.floats(-3, 3), st.floats(-3, 3)),
)
def test_two_versions_cannot_replace_each_other(seed: int, metric: str, signals: tuple[float, float]) -> None:
    y, rule = labels(seed), policy(metric, margin=0)
    one, other = simulated(y, signals[0], seed), simulated(y, signals[1], seed + 1)
    verdicts = judged(y, one, other, rule).promote, judged(y, other, one, rule).promote
    assert verdicts != (True, True)


@pytest.mark.filterwarnings("ignore:Only one class is present")  # the subject of this test
def test_resamples_without_a_class_prevent_promotion() -> None:
    y = np.zeros(40, dtype=np.int64)
    y[0] = 1
    refused = judged(y, np.where(y == 1, 0.9, 0.1), np.where(y == 1, 0.1, 0.9), policy())
    assert failed(refused) == ["gain in roc_auc over version 1"]


@pytest.mark.filterwarnings("ignore:Only one class is present")
def test_slices_of_one_class_prevent_promotion_if_there_are_no_others() -> None:
    y = labels(3)
    rule = policy(guards={"slices": ["kind"], "min_slice_rows": 20})
    refused = judged(y, simulated(y, 6, 1), simulated(y, 0, 2), rule, slices={"kind": y})
    assert failed(refused) == ["slices of kind"]


def test_decision_names_both_versions_and_every_reason() -> None:
    y = labels(4)
    decision = judged(y, simulated(y, 6, 1), simulated(y, -6, 2), policy(approval="manual"), approved="by ada: go")
    assert (decision.challenger, decision.champion, decision.holdout, decision.promote) == (2, 1, HASH, True)
    assert [reason.criterion for reason in decision.reasons] == [
        "valid predictions of version 2",
        "valid predictions of version 1",
        "same holdout",
        "holdout rows",
        "minimum roc_auc",
        "predictions differ between rows",
        "predictions differ from version 1",
        "error rate of this attempt",
        "gain in roc_auc over version 1",
        "input schema compatible with version 1",
        "approval of version 2",
    ]
    reason = json.loads(decision.to_json())["reasons"][2]
    assert (reason["required"], reason["found"], reason["passed"]) == (HASH[:12], HASH[:12], True)


def of_classes(seed: int, signal: float, rows: int = 150) -> tuple[np.ndarray, Floats]:
    """Labels of three classes with class probabilities."""
    draw = np.random.default_rng(seed)
    y = draw.permutation(np.arange(rows) % 3)
    strengths = np.exp(np.eye(3)[y] * signal + draw.normal(0, 1, (rows, 3)))
    return y, np.asarray(strengths / strengths.sum(axis=1, keepdims=True), dtype=np.float64)


@pytest.mark.parametrize("metric", metrics_of(MULTICLASS))
def test_better_multiclass_version_is_promoted_and_worse_one_rejected(metric: str) -> None:
    (y, good), (_, weak) = of_classes(1, 4), of_classes(1, 0.2)
    rule = policy(metric, test="superiority", guards={"max_calibration_error": 0.5, "max_changed_decisions": 1})
    assert judged(y, good, weak, rule, task="multiclass").promote
    assert failed(judged(y, weak, good, rule, task="multiclass")) == [f"gain in {metric} over version 1"]


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(lambda p: p * 0.9, id="rows that sum to 0.9"),
        pytest.param(lambda p: p[:, 0], id="one class"),
        pytest.param(lambda p: p[:, :2] / p[:, :2].sum(axis=1, keepdims=True), id="a class too few"),
        pytest.param(lambda p: np.where(np.arange(len(p))[:, None] == 5, np.nan, p), id="no number"),
        pytest.param(lambda p: p[:-1], id="a row too few"),
        pytest.param(lambda p: p + np.asarray([1, -1, 0]), id="outside of 0 and 1"),
    ],
)
def test_invalid_class_probabilities_prevent_promotion(broken: object) -> None:
    y, good = of_classes(2, 4)
    predictions = broken(good)  # type: ignore[operator]
    assert failed(judged(y, predictions, None, policy("log_loss"), task="multiclass")) == [
        "valid predictions of version 2"
    ]
    assert not judged(y, good, predictions, policy("log_loss"), task="multiclass").promote


@pytest.mark.parametrize("metric", metrics_of(REGRESSION))
def test_better_regression_is_promoted_and_worse_one_rejected(metric: str) -> None:
    draw = np.random.default_rng(3)
    y = draw.normal(0, 10, 150)
    near, far = y + draw.normal(0, 1, 150), y + draw.normal(0, 5, 150)
    rule = policy(metric, test="superiority")
    assert judged(y, near, far, rule, task="regression").promote
    assert failed(judged(y, far, near, rule, task="regression")) == [f"gain in {metric} over version 1"]


@settings(max_examples=20)
@given(row=st.integers(0, 99), value=st.sampled_from([np.nan, np.inf, -np.inf]), in_labels=st.booleans())
def test_one_invalid_number_prevents_promotion(row: int, value: float, in_labels: bool) -> None:
    y = np.random.default_rng(4).normal(0, 10, 100)
    answers, outcomes = y + 0.5, y.copy()
    (outcomes if in_labels else answers)[row] = value
    refused = judged(outcomes, answers, y + 1, policy("mae", margin=9), task="regression")
    assert "valid predictions of version 2" in failed(refused)
