"""Thresholds: tuned where a metric is best or mistakes cost least, on rows that the model had not seen."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lakehouse.arrays import Floats
from training.evaluation.metrics import METRICS
from training.evaluation.threshold import MAXIMISED, DecisionCounts, ThresholdRule, tuned

F1 = ThresholdRule.model_validate({"maximise": "f1"})


def cost(false_positive: float, false_negative: float) -> ThresholdRule:
    said = {"false_positive": false_positive, "false_negative": false_negative}
    return ThresholdRule.model_validate({"cost": said})


def drawn(rows: int, seed: int = 0) -> tuple[npt.NDArray[np.int64], Floats]:
    """Labels, and the true probabilities that they were drawn by."""
    draw = np.random.default_rng(seed)
    probabilities = draw.beta(1, 8, rows)
    return (draw.random(rows) < probabilities).astype(np.int64), probabilities


def test_of_true_probabilities_the_cheapest_threshold_is_the_share_of_the_costs() -> None:
    labels, probabilities = drawn(40_000)
    # Deciding for 1 costs (1 - p) * 1, deciding for 0 costs p * 5: they are equal at p = 1 / 6.
    assert tuned(cost(1, 5), labels, probabilities).threshold == pytest.approx(1 / 6, abs=0.03)
    assert tuned(cost(5, 1), labels, probabilities).threshold > 0.5


@pytest.mark.parametrize("metric", sorted(MAXIMISED))
def test_no_threshold_is_better_than_the_tuned_one(metric: str) -> None:
    labels, probabilities = drawn(2000)
    found = tuned(ThresholdRule.model_validate({"maximise": metric}), labels, probabilities)
    assert METRICS[metric].decides
    assert found.gain == pytest.approx(METRICS[metric].function(labels, probabilities, found.threshold))
    others = [METRICS[metric].function(labels, probabilities, t) for t in np.linspace(0.01, 0.99, 99)]
    assert found.gain >= max(others)


def test_counts_are_those_of_the_decisions() -> None:
    counts = DecisionCounts.of(
        np.asarray([0, 1, 1, 0]), np.asarray([0.2, 0.2, 0.9, 0.5]), np.asarray([0.2, 0.5, 0.95])
    )
    assert counts.true_positive.tolist() == [2, 1, 0]
    assert counts.false_positive.tolist() == [2, 1, 0]
    assert counts.false_negative.tolist() == [0, 1, 2]


@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=1, max_size=30))
def test_a_threshold_is_always_one_that_a_use_case_may_say(rows: list[tuple[int, float]]) -> None:
    labels, probabilities = (np.asarray(column) for column in zip(*rows, strict=True))
    for rule in (F1, cost(1, 5)):
        assert 0 < tuned(rule, labels, probabilities.astype(np.float64)).threshold < 1


def test_what_the_threshold_brings_is_told() -> None:
    labels, probabilities = np.asarray([0, 0, 1, 1]), np.asarray([0.1, 0.2, 0.6, 0.2])
    found = tuned(F1, labels, probabilities)
    assert found.told == (
        "It decides for label 1 from a probability of 0.15 on, where on the 4 validation rows f1 is highest: 0.8000."
    )
    assert tuned(cost(1, 5), labels, probabilities).told == (
        "It decides for label 1 from a probability of 0.15 on, where on the 4 validation rows mistakes cost least: "
        "0.2500 a row, where a false positive costs 1 and a false negative 5."
    )


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"maximise": "recall"}, "recall is best where every decision is the same"),
        ({"maximise": "roc_auc"}, "no metric of decisions 'roc_auc'"),
        ({"maximise": "acuracy"}, "Did you mean 'accuracy'"),
        ({}, "tuned by `maximise` or by `cost`"),
        ({"maximise": "f1", "cost": {"false_positive": 1, "false_negative": 1}}, "and not by both"),
        ({"cost": {"false_positive": 0, "false_negative": 1}}, "greater than 0"),
    ],
)
def test_a_rule_that_has_no_answer_is_refused(said: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        ThresholdRule.model_validate(said)
