"""Draws of whole entities and of blocks of time: rows that depend on each other are drawn together."""

import math

import numpy as np
import pytest

from training.evaluation.bootstrap import combined, intervals
from training.evaluation.resampling import (
    MIN_TIMES,
    Dependence,
    DrawCounts,
    Resampling,
    automatic_block_length,
    format_draws,
    resamplings,
)

KEYS = np.repeat(np.arange(40).astype(str).astype(object), 10)
DAYS = np.datetime64("2024-01-01", "us") + np.arange(400).astype("timedelta64[D]")
FEW_DAYS = DAYS[np.arange(400) % (MIN_TIMES - 1)]


def test_rows_of_an_entity_are_drawn_together() -> None:
    (way,) = resamplings(400, Dependence(KEYS))
    for counts in way.counts(20):
        assert counts.sum() == 400
        assert (counts.reshape(40, 10) == counts[::10, None]).all()


def test_blocks_hold_successive_times_and_go_round() -> None:
    (way,) = resamplings(400, Dependence(np.arange(400), DAYS))
    assert (way.count, way.block) == (400, math.ceil(400 ** (1 / 3)))
    drawn = np.stack(list(way.counts(400)))
    assert set(drawn.sum(axis=1)) == {400}
    assert np.allclose(drawn.mean(axis=0), 1, atol=0.25)  # the first and last times are drawn as often as others
    steps = [np.count_nonzero(np.diff(counts)) for counts in drawn]
    assert max(steps) <= 2 * math.ceil(400 / way.block)


def test_rows_of_one_time_are_drawn_together() -> None:
    times = np.repeat(DAYS[:40], 10)
    (way,) = resamplings(400, Dependence(np.arange(400), times))
    for counts in way.counts(20):
        assert (counts.reshape(40, 10) == counts[::10, None]).all()


@pytest.mark.parametrize(
    ("dependence", "expected"),
    [
        (Dependence(), "400 rows"),
        (Dependence(np.arange(400)), "400 rows"),
        (Dependence(KEYS), "40 entities"),
        (Dependence(np.arange(400), DAYS), "400 times in blocks of 8"),
        (Dependence(KEYS, DAYS), "40 entities, 400 times in blocks of 8"),
        (Dependence(KEYS, FEW_DAYS), "40 entities"),
    ],
    ids=["unknown", "one row each", "repeated keys", "ordered by time", "both", "too few times"],
)
def test_units_follow_from_keys_and_times(dependence: Dependence, expected: str) -> None:
    assert format_draws(resamplings(400, dependence)) == expected


def test_chosen_rows_keep_their_entities_and_times() -> None:
    chosen = Dependence(KEYS, DAYS).take(np.arange(400) < 20)
    assert format_draws(resamplings(20, chosen)) == "2 entities, 20 times in blocks of 3"
    joined = Dependence.joined([chosen, Dependence(KEYS[20:])])
    assert joined.keys is not None
    assert joined.keys.tolist() == KEYS.tolist()
    assert joined.times is None


def test_blocks_are_longer_where_losses_are_correlated() -> None:
    noise = np.random.default_rng(1).normal(size=1000)
    correlated = np.convolve(noise, np.ones(40), mode="same")
    assert automatic_block_length(noise) < 10
    assert automatic_block_length(correlated) > 30
    assert automatic_block_length(np.zeros(100)) == 1


@pytest.mark.parametrize("times", range(MIN_TIMES, 24))
def test_blocks_of_few_times_have_a_length(times: int) -> None:
    assert 1 <= automatic_block_length(np.random.default_rng(times).normal(size=times).cumsum()) <= times


def test_interval_of_clustered_rows_matches_that_of_their_means() -> None:
    draw = np.random.default_rng(2)
    means = draw.normal(size=40)
    values = np.repeat(means, 10)

    def mean(counts: DrawCounts) -> dict[str, float]:
        return {"mean": float(np.average(values, weights=counts))}

    by_rows, by_entities = (intervals(mean, resamplings(400, d))["mean"] for d in (Dependence(), Dependence(KEYS)))
    of_means = intervals(lambda counts: {"mean": float(np.average(means, weights=counts))}, resamplings(40))["mean"]
    assert by_entities.high - by_entities.low == pytest.approx(of_means.high - of_means.low, rel=0.05)
    assert by_entities.high - by_entities.low > 3 * (by_rows.high - by_rows.low)


def test_variances_of_entities_and_times_add_up() -> None:
    draw = np.random.default_rng(3)
    spread = {"entity": 3.0, "time": 4.0, "row": 0.1}
    ways = Resampling("entity", 2000), Resampling("time", 2000), Resampling("row", 2000, sign=-1)
    found = combined(0.0, [(way, draw.normal(0, spread[way.unit], 20_000)) for way in ways])
    assert (found.low, found.high) == pytest.approx((-1.96 * 5, 1.96 * 5), rel=0.03)


def test_a_single_entity_has_no_interval() -> None:
    found = intervals(lambda counts: {"n": float(counts.sum())}, resamplings(5, Dependence(np.zeros(5))))["n"]
    assert math.isnan(found.low)
    assert math.isnan(found.high)
