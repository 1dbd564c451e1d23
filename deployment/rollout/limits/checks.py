"""Checks of a new version: beside the stable version over the same interval, and against hard limits. No I/O."""

import math
from dataclasses import dataclass

from deployment.rollout.limits.counts import VersionCounts
from deployment.rollout.limits.evidence import log_e_value, log_limit, log_mean_e_value
from training.use_case.rollout import RolloutPlan

TESTS = 5  # of each step: failed, refused and slow requests beside the stable version; error rate and p99
P99 = 0.01  # share of requests that may be slower than the limit
NONE = VersionCounts()


@dataclass(frozen=True)
class ObservedStep:
    """Counts of both versions over the same interval.

    Attributes:
        stable: counts of the stable version.
        new: counts of the new version.
        share: share of the requests that the new version should get, from 0 to 1.
        timed_stable: counts of the stable version since the end of the warm-up; none before.
        timed_new: counts of the new version since then.
    """

    stable: VersionCounts
    new: VersionCounts
    share: float
    timed_stable: VersionCounts = NONE
    timed_new: VersionCounts = NONE


def breach(observed: ObservedStep, plan: RolloutPlan, steps: int) -> str:
    """The limit that the new version has violated, with the counts; empty if it has violated none.

    Args:
        observed: counts since the start of the step.
        plan: limits.
        steps: number of steps of the rollout; each of them has its own tests.
    """
    limit = log_limit(plan.alpha, TESTS * max(steps, 1))
    new, stable = observed.new, observed.stable
    if log_e_value(new.failed, new.requests, plan.max_error_rate) > limit:
        return (
            f"{_share(new.failed, new.requests)} of its requests failed, and the limit is {plan.max_error_rate:.2%}"
        )
    timed = observed.timed_new
    slow = None if plan.max_p99_ms is None else _slower_than_limit(timed, plan.max_p99_ms)
    if slow is not None and log_e_value(slow, timed.answered, P99) > limit:
        return f"{_share(slow, timed.answered)} of its requests took longer than {plan.max_p99_ms:g} ms, not 1 %"
    for kind, ours, theirs in (("failed", new.failed, stable.failed), ("were refused", new.refused, stable.refused)):
        if log_e_value(ours, ours + theirs, expected_share(stable, new, observed.share)) > limit:
            stable_share = _share(theirs, stable.requests)
            return f"{_share(ours, new.requests)} of its requests {kind}; of the stable version {stable_share}"
    evidence, bound = slower(observed, plan.tolerated_ms)
    if evidence > limit:
        late, usual = (_share(each.slower_than(bound), each.answered) for each in (timed, observed.timed_stable))
        return f"{late} of its requests took longer than {bound:g} ms; of the stable version {usual}"
    return ""


def expected_share(stable: VersionCounts, new: VersionCounts, share: float) -> float:
    """Share of an equal version among all events: its share of the requests, at least the one that was set.

    A request with a `client_request_id` always goes to the same version, so the two shares can differ.
    """
    requests = stable.requests + new.requests
    return min(max(share, new.requests / requests if requests else 0.0), 1 - 1e-9)


def slower(observed: ObservedStep, tolerated_ms: float = 0.0) -> tuple[float, float]:
    """Logarithm of the evidence that more requests of the new version are slow, and the bound that shows it best.

    The e-value is the mean over the bounds of the histogram from the tolerated response time on. The bound at the
    95th percentile of the stable version is one of them; to choose it by the data seen so far would not be valid, and
    a coarse bound above the percentile would hide a version that is three times as slow.
    """
    new, stable, evidence = observed.timed_new, observed.timed_stable, dict[float, float]()
    share = expected_share(stable, new, observed.share)
    for bound in stable.bounds:
        if bound in new.within and bound >= tolerated_ms:
            slow, usual = new.slower_than(bound), stable.slower_than(bound)
            evidence[bound] = log_e_value(slow, slow + usual, share)
    return log_mean_e_value([*evidence.values()]), max(evidence, key=lambda bound: evidence[bound], default=math.inf)


def _slower_than_limit(counts: VersionCounts, limit: float) -> int | None:
    """Requests slower than the first bound that is not below the limit; None if there is no such bound."""
    bound = next((bound for bound in counts.bounds if bound >= limit or math.isclose(bound, limit)), None)
    return None if bound is None else counts.slower_than(bound)


def _share(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,} ({part / whole:.2%})" if whole else "none of 0"
