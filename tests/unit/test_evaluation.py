"""Metrics, by hand."""

import numpy as np
import pytest

from training.evaluation import METRICS, evaluate

LABELS = np.array([0, 0, 1, 1])
PROBABILITIES = np.array([0.1, 0.6, 0.4, 0.9])


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("accuracy", 0.5),  # 0.1 and 0.9 are on the right side of 0.5
        ("precision", 0.5),
        ("recall", 0.5),
        ("f1", 0.5),
        ("roc_auc", 0.75),  # three of the four pairs are in order
        ("average_precision", 0.5 * 1 + 0.5 * 2 / 3),
        ("log_loss", -np.log([0.9, 0.4, 0.4, 0.9]).mean()),
    ],
)
def test_each_metric_is_what_its_definition_says(metric: str, expected: float) -> None:
    assert evaluate(LABELS, PROBABILITIES, 0.5)[metric] == pytest.approx(expected)


def test_the_threshold_moves_decisions_and_nothing_else() -> None:
    low, high = evaluate(LABELS, PROBABILITIES, 0.3), evaluate(LABELS, PROBABILITIES, 0.95)
    assert (low["recall"], high["recall"], high["precision"]) == (1, 0, 0)
    assert low["roc_auc"] == high["roc_auc"]


@pytest.mark.parametrize(("metric", "better", "worse"), [("roc_auc", 0.8, 0.7), ("log_loss", 0.2, 0.3)])
def test_a_better_value_is_a_smaller_loss_and_a_gain(metric: str, better: float, worse: float) -> None:
    assert METRICS[metric].loss(better) < METRICS[metric].loss(worse)
    assert METRICS[metric].gain(better, over=worse) == pytest.approx(0.1)
