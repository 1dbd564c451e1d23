"""The decision: properties that hold for any predictions."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss, roc_auc_score

from lakehouse.arrays import Floats
from scoring.tasks import BINARY
from tests.unit.gate import contests
from tests.unit.gate.contests import GOOD, HASH, LABELS, LOWEST, OTHER_HASH, failed, judged, policy, scores, simulated
from training.evaluation.metrics import Targets, metrics_of


@pytest.fixture(autouse=True, scope="module")
def fewer_draws() -> Iterator[None]:
    patch = contests.few_draws()
    yield
    patch.undo()


metrics = st.sampled_from(["roc_auc", "log_loss"])
seeds = st.integers(0, 2**32 - 1)


def drawn(seed: int, signal: float) -> tuple[Targets, Floats]:
    """Labels of 120 balanced rows, and the predictions of a model with this signal."""
    y = contests.labels(seed)
    return y, simulated(y, signal, seed, noise=0.5)


@settings(max_examples=25)
@given(metric=metrics, seed=seeds, which=st.sampled_from(["challenger", "champion", "both"]), margin=st.floats(0, 1))
def test_scores_on_another_holdout_prevent_promotion(metric: str, seed: int, which: str, margin: float) -> None:
    y, good = drawn(seed, 6)
    _, weak = drawn(seed, 0)
    new = scores(2, good, HASH if which == "champion" else OTHER_HASH)
    old = scores(1, weak, HASH if which == "challenger" else OTHER_HASH)
    assert failed(judged(y, new, old, policy(metric, margin=margin))) == ["same holdout"]


@settings(max_examples=25)
@given(metric=metrics, rows=st.integers(0, 300).filter(lambda rows: rows != 120), seed=seeds)
def test_another_number_of_rows_prevents_promotion(metric: str, rows: int, seed: int) -> None:
    y, good = drawn(seed, 6)
    other, rule = np.resize(good, rows), policy(metric, margin=1)
    assert failed(judged(y, other, None, rule)) == ["valid predictions of version 2"]
    assert failed(judged(y, other, good, rule)) == ["valid predictions of version 2"]
    assert failed(judged(y, good, other, rule)) == ["valid predictions of version 1"]


@settings(max_examples=5)
@given(metric=metrics, seed=seeds, margin=st.floats(0.001, 1))
def test_equal_predictions_prevent_promotion_at_any_margin(metric: str, seed: int, margin: float) -> None:
    y, good = drawn(seed, 6)
    assert failed(judged(y, good.copy(), good, policy(metric, margin=margin))) == [
        "predictions differ from version 1"
    ]


@pytest.mark.parametrize("metric", sorted(metrics_of(BINARY)))
@settings(max_examples=2)
@given(seed=seeds)
def test_much_better_version_is_promoted_and_much_worse_one_rejected(metric: str, seed: int) -> None:
    y, good = drawn(seed, 8)
    _, wrong = drawn(seed, -8)
    rule = policy(metric, test="superiority")
    assert judged(y, good, wrong, rule).promote
    assert failed(judged(y, wrong, good, rule)) == [f"gain in {metric} over version 1"]


@settings(max_examples=5)
@given(metric=metrics, seed=seeds, margins=st.tuples(st.floats(0, 0.5), st.floats(0, 0.5)).map(sorted))
def test_wider_margin_promotes_all_that_a_narrower_one_promotes(metric: str, seed: int, margins: list[float]) -> None:
    y, better = drawn(seed, 2)
    worse = simulated(y, 1.5, seed + 1)
    narrow, wide = (judged(y, worse, better, policy(metric, margin=margin)) for margin in margins)
    assert narrow.promote <= wide.promote


@settings(max_examples=8)
@given(metric=metrics, seed=seeds, signals=st.tuples(st.floats(-3, 3), st.floats(-3, 3)), margin=st.floats(0, 0.3))
def test_superiority_implies_non_inferiority(
    metric: str, seed: int, signals: tuple[float, float], margin: float
) -> None:
    y = contests.labels(seed)
    new, old = (simulated(y, signal, seed + place) for place, signal in enumerate(signals))
    superior = judged(y, new, old, policy(metric, margin=margin, test="superiority")).promote
    assert superior <= judged(y, new, old, policy(metric, margin=margin)).promote


VALUES: dict[str, Callable[[Targets, Floats], float]] = {"roc_auc": roc_auc_score, "log_loss": log_loss}


@settings(max_examples=30)
@given(seed=seeds, minimum=st.floats(0, 1), signal=st.floats(-3, 6))
def test_first_version_is_promoted_only_if_it_reaches_the_minimum(seed: int, minimum: float, signal: float) -> None:
    y, predicted = drawn(seed, signal)
    auc, loss = (value(y, predicted) for value in VALUES.values())
    assert judged(y, predicted, None, policy("roc_auc", minimum)).promote == (auc >= minimum)
    assert judged(y, predicted, None, policy("log_loss", minimum)).promote == (loss <= minimum)


@pytest.mark.parametrize("metric", sorted(VALUES))
def test_first_version_exactly_at_the_minimum_is_promoted(metric: str) -> None:
    value = VALUES[metric](LABELS, GOOD)
    better = 1.0 if metric == "roc_auc" else -1.0
    assert judged(LABELS, GOOD, None, policy(metric, value)).promote
    beyond = float(np.nextafter(value, value + better))
    assert failed(judged(LABELS, GOOD, None, policy(metric, beyond))) == [f"minimum {metric}"]


@settings(max_examples=5)
@given(seed=seeds, signals=st.tuples(st.floats(-8, 8), st.floats(-8, 8)), metric=metrics, minimum=st.floats(0, 1))
def test_promotion_requires_every_criterion(
    seed: int, signals: tuple[float, float], metric: str, minimum: float
) -> None:
    y, new = drawn(seed, signals[0])
    old = simulated(y, signals[1], seed + 1)
    decision = judged(y, new, old, policy(metric, minimum))
    assert decision.promote == all(reason.passed for reason in decision.reasons)
    assert (decision.challenger, decision.champion, len(decision.reasons)) == (2, 1, 10)


def test_every_version_reaches_the_lowest_minimum() -> None:
    assert set(LOWEST) >= set(metrics_of(BINARY))
