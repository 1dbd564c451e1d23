"""Intervals of the report: metrics by counts are metrics of the copied rows, whatever the ties."""

import numpy as np
import pytest

from training.evaluation.metrics import METRICS, metrics_of
from training.evaluation.weighted_metrics import (
    FEWEST_DRAWS,
    ScoredRows,
    counted,
    draws,
    gain_intervals,
    metric_intervals,
)

RANDOM = np.random.default_rng(8)
LABELS = (RANDOM.random(300) < 0.3).astype(np.int64)
SAID = np.clip(RANDOM.normal(0.3, 0.2, 300) + 0.2 * LABELS, 0, 1)
FINE, COARSE = ScoredRows(LABELS, SAID, 0.4), ScoredRows(LABELS, SAID.round(1), 0.4)


@pytest.mark.parametrize("rows", [FINE, COARSE], ids=["fine", "tied"])
@pytest.mark.parametrize("name", METRICS)
def test_a_metric_by_counts_is_the_metric_of_the_copied_rows(name: str, rows: ScoredRows) -> None:
    by_counts = counted(name, rows)
    for _ in range(5):
        counts = np.bincount(RANDOM.integers(0, 300, 300), minlength=300)
        copied = rows.take(np.repeat(np.arange(300), counts))
        assert by_counts(counts) == pytest.approx(copied.metric(name), abs=1e-12)


OF_CLASSES = RANDOM.choice(4, 60, p=[0.4, 0.4, 0.19, 0.01])  # the last is often missing from a resample
TOLD = RANDOM.dirichlet(np.ones(4), 60) * 0.6 + 0.4 * np.eye(4)[OF_CLASSES]


@pytest.mark.parametrize("said", [TOLD, TOLD.round(1)], ids=["fine", "tied"])
@pytest.mark.parametrize("name", metrics_of("multiclass"))
def test_a_metric_of_classes_by_counts_is_that_of_the_copied_rows(name: str, said: np.ndarray) -> None:
    rows = ScoredRows(OF_CLASSES, said / said.sum(axis=1, keepdims=True), 0.5)
    draws_of_rows = [np.bincount(RANDOM.integers(0, 60, 60), minlength=60) for _ in range(5)]
    expected = [rows.take(np.repeat(np.arange(60), counts)).metric(name) for counts in draws_of_rows]
    by_counts = counted(name, rows)
    assert [by_counts(counts) for counts in draws_of_rows] == pytest.approx(expected, abs=1e-12)
    assert by_counts(np.stack(draws_of_rows)) == pytest.approx(expected, abs=1e-12)


def test_an_interval_of_folds_is_around_their_mean() -> None:
    folds = [FINE.take(np.arange(0, 150)), FINE.take(np.arange(150, 300))]
    found = metric_intervals(["roc_auc", "log_loss"], folds)
    for name, interval in found.items():
        assert interval.value == pytest.approx(np.mean([fold.metric(name) for fold in folds]))
        assert interval.low < interval.value < interval.high


def test_a_gain_is_positive_where_the_new_is_better_also_where_less_is() -> None:
    worse = ScoredRows(LABELS, 1 - SAID, 0.4)
    found = gain_intervals(["roc_auc", "log_loss"], FINE, worse)
    assert all(gain.low > 0 for gain in found.values())
    assert found["log_loss"].value == pytest.approx(worse.metric("log_loss") - FINE.metric("log_loss"))
    again = gain_intervals(["roc_auc"], FINE, FINE)["roc_auc"]
    assert (again.value, again.low, again.high) == (0, 0, 0)


def test_many_rows_are_drawn_fewer_times() -> None:
    assert draws(1000) > draws(100_000) > draws(10_000_000) == FEWEST_DRAWS
