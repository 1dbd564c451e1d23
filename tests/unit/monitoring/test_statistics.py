"""Tests on counts against scipy on the values, and their false alarms and power."""

import numpy as np
import pytest
from scipy import stats

from deployment.monitoring.statistics import (
    above_limit_p,
    benjamini_hochberg,
    chi_square_p,
    coarse,
    higher_share_p,
    ks_p,
    psi,
    wasserstein,
)
from lakehouse.arrays import Floats
from training.population.placement import number_bins


def binned(edges: tuple[float, ...], values: Floats) -> Floats:
    return np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1).astype(float)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.3])
def test_the_binned_distance_is_close_to_that_of_the_values_and_never_larger(shift: float) -> None:
    draw = np.random.default_rng(1)
    reference, window = draw.normal(size=10_000), draw.normal(shift, size=1_000)
    edges = number_bins(reference).edges
    distance, p = ks_p(binned(edges, reference), binned(edges, window))
    exact = stats.ks_2samp(reference, window, method="asymp")
    assert exact.statistic - 0.021 < distance <= exact.statistic + 1e-12
    assert p > exact.pvalue * 0.5


def test_chi_square_equals_scipy_and_joins_small_cells() -> None:
    reference, window = np.array([500.0, 300.0, 200.0]), np.array([60.0, 25.0, 15.0])
    assert chi_square_p(reference, window)[1] == pytest.approx(stats.chi2_contingency([reference, window])[1])
    rare = chi_square_p(np.array([900.0, 98.0, 1.0, 1.0]), np.array([90.0, 8.0, 1.0, 1.0]))
    joined = chi_square_p(np.array([900.0, 100.0]), np.array([90.0, 10.0]))
    assert rare == pytest.approx(joined)
    assert chi_square_p(np.array([5.0, 0.0]), np.array([7.0, 0.0])) == (0.0, 1.0)  # one category: no drift


def test_shares_are_tested_exactly_and_only_upwards() -> None:
    table = np.array([[30, 970], [10, 990]])
    expected = stats.fisher_exact(table, alternative="greater")[1]
    assert higher_share_p((10, 1000), (30, 1000)) == pytest.approx(expected)
    assert higher_share_p((30, 1000), (10, 1000)) > 0.99
    assert above_limit_p(30, 1000, 0.01) == pytest.approx(stats.binomtest(30, 1000, 0.01, "greater").pvalue)


def test_an_empty_sample_is_no_evidence() -> None:
    empty, some = np.zeros(3), np.array([3.0, 4.0, 5.0])
    assert ks_p(some, empty) == chi_square_p(some, empty) == (0.0, 1.0)
    assert higher_share_p((1, 10), (0, 0)) == above_limit_p(0, 0, 0.01) == 1.0
    assert psi(some, empty) == wasserstein(np.arange(3.0), some, empty) == 0.0


def test_calibrated_psi_is_near_zero_without_drift_at_every_size_and_near_the_index_with_drift() -> None:
    draw = np.random.default_rng(2)
    shares = np.full(10, 0.1)

    def drawn(rows: int, of: Floats = shares) -> Floats:
        return draw.multinomial(rows, of).astype(np.float64)

    without = [psi(drawn(2_000), drawn(100)) for _ in range(200)]
    assert np.mean(without) < 0.06  # the plain index has a mean of 0.09 here
    shifted = np.linspace(0.05, 0.15, 10)
    plain = float(((shifted - shares) * np.log(shifted / shares)).sum())
    assert psi(drawn(10**6), drawn(10**6, shifted)) == pytest.approx(plain, rel=0.05)


def test_wasserstein_of_a_shift_is_the_shift_in_standard_deviations() -> None:
    draw = np.random.default_rng(3)
    reference, window = draw.normal(5, 2, size=50_000), draw.normal(6, 2, size=50_000)
    bins = number_bins(np.concatenate([reference, window]))
    moved = wasserstein(np.asarray(bins.centres), binned(bins.edges, reference), binned(bins.edges, window))
    assert moved == pytest.approx(0.5, abs=0.03)


def test_coarse_bins_keep_every_row_and_have_about_equal_shares() -> None:
    reference = np.arange(1.0, 51.0)
    joined = coarse(reference, reference)
    assert joined.sum() == reference.sum()
    assert len(joined) == 10
    assert joined.max() < 1.6 * joined.mean()


@pytest.mark.parametrize("correlation", [0.0, 0.6])
def test_at_most_5_percent_of_quiet_windows_have_a_rejection(correlation: float) -> None:
    draw = np.random.default_rng(4)
    features, reference_rows, rows, windows = 15, 5_000, 500, 200
    shared = np.sqrt(correlation)

    def sample(count: int) -> Floats:
        common = draw.normal(size=(count, 1))
        return np.asarray(shared * common + np.sqrt(1 - correlation) * draw.normal(size=(count, features)))

    reference = sample(reference_rows)
    bins = [number_bins(reference[:, at]).edges for at in range(features)]
    known = [binned(edges, reference[:, at]) for at, edges in enumerate(bins)]
    alarms = 0
    for _ in range(windows):
        window = sample(rows)
        p = [ks_p(known[at], binned(edges, window[:, at]))[1] for at, edges in enumerate(bins)]
        alarms += bool(benjamini_hochberg(p, 0.05).any())
    assert alarms <= windows * 0.05 + 2 * np.sqrt(windows * 0.05 * 0.95)


def test_benjamini_hochberg_rejects_up_to_the_last_p_value_below_its_line() -> None:
    p = np.random.default_rng(5).uniform(size=40) ** 3
    last = np.flatnonzero(np.sort(p) <= 0.05 * np.arange(1, 41) / 40)[-1]
    assert np.array_equal(benjamini_hochberg(p.tolist(), 0.05), p <= np.sort(p)[last])
    assert not benjamini_hochberg([], 0.05).any()
