"""Decision thresholds: tuned by a metric or by the cost of mistakes."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lakehouse.arrays import Floats
from training.evaluation.metrics import METRICS
from training.evaluation.threshold import MAXIMISED, DecisionCounts, ThresholdRule, tune

F1 = ThresholdRule.model_validate({"maximise": "f1"})


def cost(false_positive: float, false_negative: float) -> ThresholdRule:
    costs = {"false_positive": false_positive, "false_negative": false_negative}
    return ThresholdRule.model_validate({"cost": costs})


def drawn(rows: int, seed: int = 0) -> tuple[npt.NDArray[np.int64], Floats]:
    """Labels, and the true probabilities that they were drawn by."""
    draw = np.random.default_rng(seed)
    probabilities = draw.beta(1, 8, rows)
    return (draw.random(rows) < probabilities).astype(np.int64), probabilities


def test_cheapest_threshold_of_true_probabilities_is_the_cost_ratio() -> None:
    labels, probabilities = drawn(40_000)
    # Deciding for 1 costs (1 - p) * 1, deciding for 0 costs p * 5: they are equal at p = 1 / 6.
    assert tune(cost(1, 5), labels, probabilities).threshold == pytest.approx(1 / 6, abs=0.03)
    assert tune(cost(5, 1), labels, probabilities).threshold > 0.5


@pytest.mark.parametrize("metric", sorted(MAXIMISED))
def test_tuned_threshold_is_the_best(metric: str) -> None:
    labels, probabilities = drawn(2000)
    found = tune(ThresholdRule.model_validate({"maximise": metric}), labels, probabilities)
    assert METRICS[metric].decides
    assert found.gain == pytest.approx(METRICS[metric].function(labels, probabilities, found.threshold))
    others = [METRICS[metric].function(labels, probabilities, t) for t in np.linspace(0.01, 0.99, 99)]
    assert found.gain >= max(others)


def test_counts_follow_the_decisions() -> None:
    counts = DecisionCounts.of(
        np.asarray([0, 1, 1, 0]), np.asarray([0.2, 0.2, 0.9, 0.5]), np.asarray([0.2, 0.5, 0.95])
    )
    assert counts.true_positive.tolist() == [2, 1, 0]
    assert counts.false_positive.tolist() == [2, 1, 0]
    assert counts.false_negative.tolist() == [0, 1, 2]


@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=1, max_size=30))
def test_tuned_threshold_lies_between_0_and_1(rows: list[tuple[int, float]]) -> None:
    labels, probabilities = (np.asarray(column) for column in zip(*rows, strict=True))
    for rule in (F1, cost(1, 5)):
        assert 0 < tune(rule, labels, probabilities.astype(np.float64)).threshold < 1


def test_summary_names_threshold_objective_and_rows() -> None:
    labels, probabilities = np.asarray([0, 0, 1, 1]), np.asarray([0.1, 0.2, 0.6, 0.2])
    found = tune(F1, labels, probabilities)
    assert found.summary == "Decision threshold: 0.15, maximising f1 on 4 validation rows (0.8000)"
    assert tune(cost(1, 5), labels, probabilities).summary == (
        "Decision threshold: 0.15, minimising cost on 4 validation rows (0.2500 per row; "
        "false positive 1, false negative 5)"
    )


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"maximise": "recall"}, "recall is best if every decision is the same: use f1, accuracy or a cost"),
        ({"maximise": "roc_auc"}, "no metric of decisions 'roc_auc'"),
        ({"maximise": "acuracy"}, "Did you mean 'accuracy'"),
        ({}, "tuned either by `maximise` or by `cost`"),
        (
            {"maximise": "f1", "cost": {"false_positive": 1, "false_negative": 1}},
            "tuned either by `maximise` or by `cost`",
        ),
        ({"cost": {"false_positive": 0, "false_negative": 1}}, "greater than 0"),
    ],
)
def test_an_invalid_rule_is_refused(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ThresholdRule.model_validate(rule)
