"""Bootstrap intervals: correct for known distributions, reproducible, and NaN for undefined metrics."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from training.evaluation.bootstrap import Interval, intervals
from training.evaluation.resampling import DrawCounts, Resampling, resamplings

SAMPLE = np.random.default_rng(3).normal(10.0, 2.0, 400)
ROWS = resamplings(len(SAMPLE))


def mean(counts: DrawCounts) -> dict[str, float]:
    return {"mean": float(np.average(SAMPLE, weights=counts))}


def test_interval_of_a_mean_matches_the_normal_approximation() -> None:
    found = intervals(mean, ROWS, draws=2000)["mean"]
    margin = 1.96 * SAMPLE.std() / math.sqrt(len(SAMPLE))
    assert found.value == pytest.approx(SAMPLE.mean())
    assert found.low == pytest.approx(SAMPLE.mean() - margin, abs=margin * 0.1)
    assert found.high == pytest.approx(SAMPLE.mean() + margin, abs=margin * 0.1)


def test_nine_in_ten_intervals_contain_the_true_value() -> None:
    draw = np.random.default_rng(0)

    def contains_zero(sample: npt.NDArray[np.float64], seed: int) -> bool:
        def of_sample(counts: DrawCounts) -> dict[str, float]:
            return {"mean": float(np.average(sample, weights=counts))}

        found = intervals(of_sample, resamplings(200), 0.9, draws=200, seed=seed)["mean"]
        return found.low <= 0 <= found.high

    assert np.mean([contains_zero(draw.normal(0, 1, 200), seed) for seed in range(400)]) == pytest.approx(
        0.9, abs=0.04
    )


def test_more_confidence_is_a_wider_interval() -> None:
    narrow, wide = (intervals(mean, ROWS, confidence)["mean"] for confidence in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_draws_depend_on_the_seed() -> None:
    first, again, other = (list(Resampling("row", 50).counts(3, seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert {counts.sum() for counts in first} == {50}


def test_all_metrics_share_the_draws() -> None:
    found = intervals(lambda counts: {"a": mean(counts)["mean"], "b": -mean(counts)["mean"]}, ROWS)
    assert (found["a"].low, found["a"].high) == pytest.approx((-found["b"].high, -found["b"].low))
    means = [mean(counts)["mean"] for counts in ROWS[0].counts(500)]
    assert found["a"].low == pytest.approx(np.quantile(means, 0.025))


def test_an_undefined_draw_makes_the_bounds_nan() -> None:
    found = intervals(lambda counts: {"m": 1.0 if counts[0] else float("nan")}, resamplings(5))["m"]
    assert found.value == 1.0
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_an_interval_formats_value_and_bounds() -> None:
    assert f"roc_auc {Interval(0.5, 0.25, 0.75)}" == "roc_auc 0.5000 (0.2500 to 0.7500)"
