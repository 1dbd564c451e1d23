"""Metrics against values computed by hand."""

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from scoring.tasks import BINARY, MULTICLASS, REGRESSION
from training.evaluation.metrics import FORECAST_LOSSES, METRICS, evaluate, evaluate_baseline, metrics_of

LABELS = np.array([0, 0, 1, 1])
PROBABILITIES = np.array([0.1, 0.6, 0.4, 0.9])


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("accuracy", 0.5),  # 0.1 and 0.9 are on the right side of 0.5
        ("precision", 0.5),
        ("recall", 0.5),
        ("f1", 0.5),
        ("roc_auc", 0.75),  # three of four pairs are in order
        ("average_precision", 0.5 * 1 + 0.5 * 2 / 3),
        ("log_loss", -np.log([0.9, 0.4, 0.4, 0.9]).mean()),
    ],
)
def test_metrics_match_values_computed_by_hand(metric: str, expected: float) -> None:
    assert evaluate(BINARY, LABELS, PROBABILITIES, 0.5)[metric] == pytest.approx(expected)


def test_threshold_changes_metrics_of_decisions_only() -> None:
    low, high = evaluate(BINARY, LABELS, PROBABILITIES, 0.3), evaluate(BINARY, LABELS, PROBABILITIES, 0.95)
    assert (low["recall"], high["recall"], high["precision"]) == (1, 0, 0)
    assert low["roc_auc"] == high["roc_auc"]


def test_decisions_of_the_baseline_are_the_better_constant_for_each_metric() -> None:
    labels, share = np.repeat([0, 1], [90, 10]), np.full(100, 0.1)
    found = evaluate_baseline(BINARY, labels, share)
    assert (found["accuracy"], found["recall"], found["precision"]) == (0.9, 1, 0.1)  # always 0, always 1, always 1
    assert (found["roc_auc"], found["log_loss"]) == (0.5, evaluate(BINARY, labels, share, 0.5)["log_loss"])
    classes = np.tile([0.6, 0.3, 0.1], (100, 1))
    assert evaluate_baseline(MULTICLASS, labels, classes) == evaluate(MULTICLASS, labels, classes, 0.5)


@pytest.mark.parametrize("digits", [1, 3, 17])
def test_roc_auc_equals_scikit_learns_with_ties(digits: int) -> None:
    draw = np.random.default_rng(0)
    labels, predicted = draw.integers(0, 2, 500), draw.random(500).round(digits)
    assert METRICS["roc_auc"].function(labels, predicted, 0.5) == pytest.approx(
        roc_auc_score(labels, predicted), abs=1e-12
    )


@pytest.mark.parametrize("classes", [2, 3, 9])
@pytest.mark.parametrize("digits", [1, 17])
def test_log_loss_equals_scikit_learns_bit_by_bit(classes: int, digits: int) -> None:
    draw = np.random.default_rng(0)
    labels, predicted = draw.integers(0, classes, 500), draw.dirichlet(np.ones(classes), 500).round(digits)
    predicted /= predicted.sum(axis=1, keepdims=True)  # rounded to one digit, some are 0 and 1
    expected = log_loss(labels, predicted, labels=range(classes))
    assert METRICS["log_loss"].function(labels, predicted, 0.5) == expected
    if classes == 2:
        expected = log_loss(labels, predicted[:, 1], labels=[0, 1])
        assert METRICS["log_loss"].function(labels, predicted[:, 1], 0.5) == expected


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -0.1, 1.1])
def test_log_loss_of_no_probability_is_an_error(wrong: float) -> None:
    with pytest.raises(ValueError, match="a predicted probability is not between 0 and 1"):
        METRICS["log_loss"].function(np.array([0, 1]), np.array([0.5, wrong]), 0.5)


def test_undefined_roc_auc_is_nan() -> None:
    for labels, predicted in (([1, 1], [0.2, 0.3]), ([0, 0], [0.2, 0.3]), ([0, 1], [np.nan, 0.3])):
        assert np.isnan(METRICS["roc_auc"].function(np.array(labels), np.array(predicted), 0.5))


@pytest.mark.parametrize(("metric", "better", "worse"), [("roc_auc", 0.8, 0.7), ("log_loss", 0.2, 0.3)])
def test_better_values_have_smaller_losses_and_positive_gains(metric: str, better: float, worse: float) -> None:
    assert METRICS[metric].loss(better) < METRICS[metric].loss(worse)
    assert METRICS[metric].gain(better, over=worse) == pytest.approx(0.1)


# Decisions at 0.5: three of label 1 (two rightly), and one label 1 missed among five.
UNEVEN = np.array([1, 1, 1, 0, 0])
SAID = np.array([0.9, 0.8, 0.3, 0.6, 0.2])


@pytest.mark.parametrize(
    ("labels", "probabilities", "metric", "expected"),
    [
        (UNEVEN, SAID, "accuracy", 3 / 5),
        ([1, 0, 0, 0], [0.9, 0.8, 0.1, 0.1], "precision", 1 / 2),
        ([1, 0, 0, 0], [0.9, 0.8, 0.1, 0.1], "recall", 1),
        ([1, 0, 0, 0], [0.9, 0.8, 0.1, 0.1], "f1", 2 / 3),
        ([1, 1, 0, 0], [0.9, 0.4, 0.1, 0.1], "precision", 1),
        ([1, 1, 0, 0], [0.9, 0.4, 0.1, 0.1], "recall", 1 / 2),
        (UNEVEN, SAID, "roc_auc", 5 / 6),
        ([0, 1], [0.5, 0.5], "roc_auc", 0.5),
        ([0, 1], [0.9, 0.1], "roc_auc", 0),
        (UNEVEN, SAID, "average_precision", (1 + 1 + 3 / 4) / 3),
        ([0, 1], [0.5, 0.5], "log_loss", np.log(2)),
        ([1, 1], [0.5, 0.25], "log_loss", np.log(8) / 2),
    ],
)
def test_metrics_of_false_positives_and_false_negatives(
    labels: list[int], probabilities: list[float], metric: str, expected: float
) -> None:
    found = METRICS[metric].function(np.asarray(labels), np.asarray(probabilities), 0.5)
    assert found == pytest.approx(expected)


def test_probability_at_the_threshold_is_decided_as_label_1() -> None:
    assert evaluate(BINARY, np.array([0, 1]), np.array([0.1, 0.5]), 0.5)["recall"] == 1
    assert evaluate(BINARY, np.array([0, 1]), np.array([0.1, 0.5]), np.nextafter(0.5, 1))["recall"] == 0


def test_metrics_are_python_floats() -> None:
    found = evaluate(BINARY, LABELS, PROBABILITIES, 0.5)
    assert list(found) == metrics_of(BINARY)
    assert {type(value) for value in found.values()} == {float}


LOSSES = {"log_loss", "mse", "rmse", "mae", *FORECAST_LOSSES}


@pytest.mark.parametrize(("metric", "sign"), [(name, 1 if name in LOSSES else -1) for name in METRICS])
def test_direction_of_each_metric(metric: str, sign: int) -> None:
    assert METRICS[metric].loss(0.25) == sign * 0.25
    assert METRICS[metric].gain(0.25, over=0.75) == sign * 0.5
    assert METRICS[metric].gain(0.75, over=0.25) == -sign * 0.5
    assert METRICS[metric].gain(0.5, over=0.5) == 0


CLASSES = np.array([0, 1, 2, 2])
PREDICTED = np.array(
    [[0.7, 0.2, 0.1], [0.3, 0.4, 0.3], [0.1, 0.3, 0.6], [0.5, 0.1, 0.4]]
)  # the last one is decided wrongly


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("accuracy", 3 / 4),
        ("macro_f1", (2 / 3 + 1 + 2 / 3) / 3),
        ("roc_auc", 1),  # each class has its own rows above all others
        ("log_loss", -np.log([0.7, 0.4, 0.6, 0.4]).mean()),
    ],
)
def test_multiclass_metrics(metric: str, expected: float) -> None:
    found = evaluate(MULTICLASS, CLASSES, PREDICTED, 0.5)
    assert list(found) == metrics_of(MULTICLASS)
    assert found[metric] == pytest.approx(expected)


def test_multiclass_roc_auc_ignores_classes_without_rows() -> None:
    rows = CLASSES < 2
    assert METRICS["roc_auc"].function(CLASSES[rows], PREDICTED[rows], 0.5) == pytest.approx(1)
    assert np.isnan(METRICS["roc_auc"].function(np.zeros(2), PREDICTED[:2], 0.5))


def test_regression_metrics() -> None:
    found = evaluate(REGRESSION, np.array([1.0, 2, 4]), np.array([1.0, 4, 3]), 0.5)
    assert found == pytest.approx({"mse": 5 / 3, "rmse": np.sqrt(5 / 3), "mae": 1, "r2": 1 - 5 / (14 / 3)})
