"""Metrics from counts against the metrics of the rows."""

from dataclasses import replace

import numpy as np
import pytest

from deployment.monitoring.outcomes.performance import estimate, measured, metric_of
from tests.unit.monitoring.samples import population
from training.evaluation.metrics import METRICS
from training.population.bins import CategoryBins
from training.population.placement import number_bins
from training.population.population import CountedColumn, Population

DRAW = np.random.default_rng(8)
SCORES = DRAW.beta(2, 3, 4_000)
LABELS = (DRAW.uniform(size=4_000) < SCORES).astype(np.int64)
BINS = number_bins(SCORES, 100, [0.3])
PLACED = BINS.index_array(SCORES)
OUTCOMES = np.bincount(LABELS * BINS.size + PLACED, minlength=2 * BINS.size).reshape(2, -1).astype(np.float64)
BINARY = Population(
    {},
    {},
    "probability",
    CountedColumn(BINS, np.bincount(PLACED, minlength=BINS.size).astype(np.float64)),
    OUTCOMES,
    0.3,
    (0, 1),
)


@pytest.mark.parametrize(
    "metric", ["roc_auc", "average_precision", "log_loss", "accuracy", "precision", "recall", "f1"]
)
def test_a_metric_of_counts_is_that_of_the_rows_up_to_the_width_of_a_bin(metric: str) -> None:
    found = measured(BINARY, metric_of(BINARY, metric), OUTCOMES)
    exact = METRICS[metric].function(LABELS, SCORES, 0.3)
    assert found.value == pytest.approx(exact, abs=0.005)
    low, high = found.interval
    assert low < exact < high
    assert 0.002 < found.error < 0.03


def test_a_metric_of_numbers_comes_from_the_moments_of_the_errors() -> None:
    error = DRAW.normal(0, 2, 3_000)
    sums = np.asarray([len(error), np.abs(error).sum(), (error**2).sum(), (error**4).sum()])
    numbers = Population({}, {}, "value", BINARY.prediction, sums)
    for metric, exact in {
        "mae": np.abs(error).mean(),
        "mse": (error**2).mean(),
        "rmse": np.sqrt((error**2).mean()),
    }.items():
        assert measured(numbers, metric, sums).value == pytest.approx(float(exact))
    assert measured(numbers, "mae", sums).error == pytest.approx(
        float(np.abs(error).std() / np.sqrt(3_000)), rel=0.01
    )
    assert metric_of(numbers, "r2") == "mae"
    assert measured(numbers, "mae", np.zeros(4)).rows == 0
    assert estimate(numbers, "mae", OUTCOMES.sum(axis=0)) is None


def test_labels_alone_have_the_metrics_of_decisions() -> None:
    confusion = np.asarray([[30.0, 5.0, 5.0], [10.0, 20.0, 10.0], [0.0, 10.0, 30.0]])
    bins = CategoryBins(("a", "b", "c"), 3)
    classes = Population({}, {}, "label", CountedColumn(bins, np.zeros(6)), confusion, 0.5, ("a", "b", "c"))
    assert metric_of(classes, "roc_auc") == "accuracy"
    assert measured(classes, "accuracy", confusion).value == pytest.approx(80 / 120)
    expected = estimate(classes, "accuracy", np.asarray([40.0, 0.0, 0.0]))
    assert expected is not None
    assert expected.value == pytest.approx(0.75)
    assert expected.estimated


def test_no_labels_and_labels_of_one_class_have_no_value_that_could_be_found() -> None:
    known = population(400)
    empty = measured(known, "roc_auc", np.zeros_like(known.outcomes))
    assert (empty.rows, np.isnan(empty.value)) == (0, True)
    one_class = known.outcomes.copy()
    one_class[0] = 0
    assert np.isnan(measured(known, "roc_auc", one_class).value)
    assert estimate(replace(known, outcomes=np.zeros((2, 3))), "roc_auc", np.ones(3)) is None


def test_the_interval_stays_within_the_bounds_of_the_metric() -> None:
    perfect = np.zeros_like(OUTCOMES)
    perfect[0, 0], perfect[1, -1] = 10, 10
    _, high = measured(BINARY, "accuracy", perfect).interval
    assert high <= 1.0
