"""Metrics from draw counts equal metrics of copied rows, with and without ties."""

import numpy as np
import pytest

from scoring.tasks import MULTICLASS
from training.evaluation.bootstrap import intervals
from training.evaluation.metrics import FORECAST_LOSSES, METRICS, metrics_of
from training.evaluation.resampling import Dependence
from training.evaluation.weighted_metrics import (
    MIN_DRAWS,
    ScoredRows,
    gain_intervals,
    metric_intervals,
    resample_count,
    weighted_metric,
)

RANDOM = np.random.default_rng(8)
LABELS = (RANDOM.random(300) < 0.3).astype(np.int64)
PREDICTED = np.clip(RANDOM.normal(0.3, 0.2, 300) + 0.2 * LABELS, 0, 1)
FINE, COARSE = ScoredRows(LABELS, PREDICTED, 0.4), ScoredRows(LABELS, PREDICTED.round(1), 0.4)


@pytest.mark.parametrize("rows", [FINE, COARSE], ids=["fine", "tied"])
@pytest.mark.parametrize("name", [name for name in METRICS if name not in FORECAST_LOSSES])
def test_weighted_metric_equals_the_metric_of_copied_rows(name: str, rows: ScoredRows) -> None:
    by_counts = weighted_metric(name, rows)
    for _ in range(5):
        counts = np.bincount(RANDOM.integers(0, 300, 300), minlength=300)
        copied = rows.take(np.repeat(np.arange(300), counts))
        assert by_counts(counts) == pytest.approx(copied.metric(name), abs=1e-12)


OF_CLASSES = RANDOM.choice(4, 60, p=[0.4, 0.4, 0.19, 0.01])  # the last is often missing from a resample
PROBABILITIES = RANDOM.dirichlet(np.ones(4), 60) * 0.6 + 0.4 * np.eye(4)[OF_CLASSES]


@pytest.mark.parametrize("probabilities", [PROBABILITIES, PROBABILITIES.round(1)], ids=["fine", "tied"])
@pytest.mark.parametrize("name", metrics_of(MULTICLASS))
def test_weighted_metric_of_classes_equals_the_metric_of_copied_rows(name: str, probabilities: np.ndarray) -> None:
    rows = ScoredRows(OF_CLASSES, probabilities / probabilities.sum(axis=1, keepdims=True), 0.5)
    draws_of_rows = [np.bincount(RANDOM.integers(0, 60, 60), minlength=60) for _ in range(5)]
    expected = [rows.take(np.repeat(np.arange(60), counts)).metric(name) for counts in draws_of_rows]
    by_counts = weighted_metric(name, rows)
    assert [by_counts(counts) for counts in draws_of_rows] == pytest.approx(expected, abs=1e-12)
    assert by_counts(np.stack(draws_of_rows)) == pytest.approx(expected, abs=1e-12)


def test_interval_of_folds_contains_their_mean() -> None:
    folds = [FINE.take(np.arange(0, 150)), FINE.take(np.arange(150, 300))]
    found = metric_intervals(["roc_auc", "log_loss"], folds)
    for name, interval in found.items():
        assert interval.value == pytest.approx(np.mean([fold.metric(name) for fold in folds]))
        assert interval.low < interval.value < interval.high


def test_folds_of_few_days_have_an_interval_of_their_mean() -> None:
    """Blocks of days miss a fold of five days in many draws; its bounds were NaN then."""
    days = np.repeat(np.arange(15), 20).astype("datetime64[D]").astype("datetime64[us]")
    rows = ScoredRows(LABELS, PREDICTED, 0.4, Dependence(None, days))
    folds = [rows.take(np.arange(start, start + 100)) for start in (0, 100, 200)]
    found = metric_intervals(["roc_auc", "log_loss", "precision"], folds)
    for name, interval in found.items():
        assert interval.value == pytest.approx(np.mean([fold.metric(name) for fold in folds]))
        assert interval.low < interval.value < interval.high, name


def test_the_mean_is_undefined_if_it_is_so_on_one_fold() -> None:
    folds = [FINE.take(np.flatnonzero(LABELS == 0)), FINE.take(np.arange(150, 300))]
    interval = metric_intervals(["roc_auc"], folds)["roc_auc"]
    assert np.isnan([interval.value, interval.low, interval.high]).all()


def test_interval_of_a_nearly_perfect_model_ends_at_the_best_value() -> None:
    predicted = np.where(LABELS == 1, 0.8, 0.2) + RANDOM.normal(0, 0.15, 300)
    times = np.arange(300).astype("datetime64[D]").astype("datetime64[us]")
    rows = ScoredRows(LABELS, np.clip(predicted, 0, 1), 0.4, Dependence(None, times))
    found = metric_intervals(["roc_auc"], [rows])["roc_auc"]
    by_counts = weighted_metric("roc_auc", rows)
    unbounded = intervals(lambda counts: {"roc_auc": float(by_counts(counts))}, rows.resamplings())
    assert unbounded["roc_auc"].high > 1
    assert found.low < found.value < found.high == 1


def test_gain_is_positive_if_the_new_model_is_better() -> None:
    worse = ScoredRows(LABELS, 1 - PREDICTED, 0.4)
    found = gain_intervals(["roc_auc", "log_loss"], FINE, worse)
    assert all(gain.low > 0 for gain in found.values())
    assert found["log_loss"].value == pytest.approx(worse.metric("log_loss") - FINE.metric("log_loss"))
    again = gain_intervals(["roc_auc"], FINE, FINE)["roc_auc"]
    assert (again.value, again.low, again.high) == (0, 0, 0)


def test_many_rows_have_fewer_resamples() -> None:
    assert resample_count(1000) > resample_count(100_000) > resample_count(10_000_000) == MIN_DRAWS
