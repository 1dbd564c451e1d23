"""The e-value of a rollout: how often it rolls back equal versions, and how soon it finds worse ones."""

import math

import numpy as np
import pytest

from deployment.rollout.limits.checks import ObservedStep, breach, slower
from deployment.rollout.limits.counts import VersionCounts
from deployment.rollout.limits.evidence import log_e_value
from training.use_case.rollout import RolloutPlan

PLAN = RolloutPlan(tolerated_ms=0)
BOUNDS = (1.0, 2.5, 5.0, 10.0, 25.0, math.inf)


def counts(requests: int, failed: int = 0, refused: int = 0, slow: int = 0) -> VersionCounts:
    """All requests take up to 2.5 ms, except the slow ones, which take up to 10 ms."""
    within = {bound: requests - slow if 2.5 <= bound < 10 else requests * (bound >= 10) for bound in BOUNDS}
    return VersionCounts(requests, refused, failed, within)


def observed(stable: VersionCounts, new: VersionCounts) -> ObservedStep:
    """A step at 10 % without a warm-up."""
    return ObservedStep(stable, new, 0.1, stable, new)


def first_breach(stable_rate: float, new_rate: float, seed: int) -> int | None:
    """Number of requests until a canary with 10 % of them is rolled back; None if it is not, in 10,000."""
    draw = np.random.default_rng(seed)
    for requests in range(500, 10_001, 500):
        new = int(requests * 0.1)
        errors = (draw.binomial(requests - new, stable_rate), draw.binomial(new, new_rate))
        if requests == 500:
            stable_errors, new_errors = errors
        else:
            more = draw.binomial([450, 50], [stable_rate, new_rate])
            stable_errors, new_errors = stable_errors + int(more[0]), new_errors + int(more[1])
        step = observed(counts(requests - new, stable_errors), counts(new, new_errors))
        if breach(step, PLAN, steps=2):
            return requests
    return None


def test_the_mean_of_the_e_value_is_at_most_one_if_the_versions_are_equal() -> None:
    draws = np.random.default_rng(0).binomial(40, 0.1, 4_000)
    assert np.mean([math.exp(log_e_value(int(hits), 40, 0.1)) for hits in draws]) < 1.1


def test_an_equal_version_is_rarely_rolled_back_although_it_is_looked_at_again_and_again() -> None:
    found = [first_breach(0.01, 0.01, seed) for seed in range(200)]
    assert sum(each is not None for each in found) <= 200 * PLAN.alpha


def test_a_version_that_errs_on_two_per_cent_is_always_found() -> None:
    found = [first_breach(0.001, 0.02, seed) for seed in range(50)]
    assert all(found)
    assert np.median([each for each in found if each]) <= 4_000


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (counts(1_000), ""),
        (counts(8, failed=8), "8 of 8 (100.00%) of its requests failed, and the limit is 5.00%"),
        (counts(1_000, failed=30), "30 of 1,000 (3.00%) of its requests failed; of the stable version 9 of 9,000"),
        (counts(1_000, refused=30), "30 of 1,000 (3.00%) of its requests were refused; of the stable version 9 of"),
        (counts(1_000, slow=900), "900 of 1,000 (90.00%) of its requests took longer than 2.5 ms; of the stable ve"),
    ],
    ids=["equal", "error rate", "errors", "refusals", "latency"],
)
def test_a_breach_is_told_with_the_counts(new: VersionCounts, message: str) -> None:
    found = breach(observed(counts(9_000, failed=9, refused=9, slow=90), new), PLAN, steps=2)
    assert found.startswith(message) if message else found == ""


def test_a_slow_tail_is_found_beside_the_stable_version_and_beyond_the_hard_limit() -> None:
    limited = PLAN.model_copy(update={"max_p99_ms": 5.0})
    tail = observed(counts(900), counts(100, slow=12))
    assert "took longer than 5 ms, not 1 %" in breach(tail, limited, steps=2)
    assert slower(tail)[1] in {2.5, 5.0}
    assert breach(observed(counts(900, slow=9), counts(100, slow=1)), limited, steps=2) == ""


def test_responses_within_the_tolerated_time_are_never_slow() -> None:
    slower_within_10_ms = observed(counts(9_000), counts(1_000, slow=900))
    assert "took longer than 5 ms" in breach(
        slower_within_10_ms, PLAN.model_copy(update={"tolerated_ms": 5}), steps=2
    )
    assert breach(slower_within_10_ms, PLAN.model_copy(update={"tolerated_ms": 10}), steps=2) == ""


def test_faster_or_fewer_errors_are_no_breach() -> None:
    better = observed(counts(9_000, failed=300, slow=8_000), counts(1_000))
    assert breach(better, PLAN, steps=1) == ""
    assert log_e_value(0, 300, 0.1) < 0


def test_requests_that_stick_to_a_version_are_no_evidence_of_errors() -> None:
    # Callers with a client_request_id: 10 % of the traffic were set, but the new version got half of it.
    sticky = observed(counts(1_000, failed=50), counts(1_000, failed=50))
    assert breach(sticky, PLAN.model_copy(update={"max_error_rate": 0.5}), steps=1) == ""


def test_response_times_of_the_warm_up_do_not_count_and_errors_do() -> None:
    slow, failed = counts(1_000, slow=900), counts(1_000, failed=30)
    assert breach(ObservedStep(counts(9_000), slow, 0.1), PLAN, steps=1) == ""
    assert "failed" in breach(ObservedStep(counts(9_000), failed, 0.1), PLAN, steps=1)


def test_no_requests_are_no_evidence() -> None:
    assert breach(ObservedStep(VersionCounts(), VersionCounts(), 0.1), PLAN, steps=2) == ""
