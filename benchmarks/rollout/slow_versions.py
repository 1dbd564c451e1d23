"""`python -m benchmarks.rollout.slow_versions`: rollbacks of versions that answer later than the stable one.

Simulated canaries of `benchmarks.rollout.false_rollbacks` with response times (lognormal, sigma 0.5), counted in the
histogram of the model server. They are judged by a fixed threshold and a z-test at each look, and by a rollout.
"""

import math
from dataclasses import dataclass

import click
import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from benchmarks.rollout.false_rollbacks import ALPHA, LOOK, REQUESTS, RUNS, SHARE, Numbers, Rule, described
from deployment.model_server.data_plane.server_metrics import BUCKETS
from deployment.rollout.limits.checks import TESTS, ObservedStep, slower
from deployment.rollout.limits.counts import VersionCounts
from deployment.rollout.limits.evidence import log_limit
from lakehouse import console
from training.use_case.rollout import RolloutPlan

BOUNDS = np.array([1000 * bound for bound in BUCKETS])  # milliseconds
SIGMA, P95 = 0.5, 0.95
MEDIANS = ((2.0, 2.0), (20.0, 20.0), (2.0, 6.0), (20.0, 60.0), (20.0, 24.0))  # milliseconds of stable and canary


@dataclass(frozen=True)
class TimedCanaries:
    """Cumulative numbers of requests within each bound, of shape (runs, looks, bounds + 1); the last is of all."""

    new: Numbers
    stable: Numbers

    @classmethod
    def drawn(cls, stable_median: float, new_median: float, seed: int = 1) -> "TimedCanaries":
        draw = np.random.default_rng(seed)
        new = draw.binomial(LOOK, SHARE, (RUNS, REQUESTS // LOOK))
        counted = []
        for requests, median in ((new, new_median), (LOOK - new, stable_median)):
            within = norm.cdf(np.log(BOUNDS / median) / SIGMA)
            shares = np.diff(within, prepend=0.0, append=1.0)
            counted.append(np.cumsum(np.cumsum(draw.multinomial(requests, shares), axis=1), axis=2).astype(float))
        return cls(*counted)


def fixed_threshold(seen: TimedCanaries) -> npt.NDArray[np.bool_]:
    """Roll back if the canary's p95 is 20 % higher, from 20 requests on."""
    found: npt.NDArray[np.bool_] = (seen.new[..., -1] >= 20) & (quantile(seen.new) > 1.2 * quantile(seen.stable))
    return found


def quantile(within: Numbers) -> Numbers:
    """The 95th percentile of each histogram, linear within its bucket, as Prometheus computes it."""
    target = P95 * within[..., -1]
    bucket = (within < target[..., None]).sum(axis=-1)
    padded, bounds = np.concatenate([np.zeros((*within.shape[:-1], 1)), within], axis=-1), np.append(0.0, BOUNDS)
    below = np.take_along_axis(padded, bucket[..., None], axis=-1)[..., 0]
    upto = np.take_along_axis(padded, bucket[..., None] + 1, axis=-1)[..., 0]
    last = len(BOUNDS)
    lower, upper = bounds[np.minimum(bucket, last)], bounds[np.minimum(bucket + 1, last)]
    return np.asarray(lower + (upper - lower) * (target - below) / np.maximum(upto - below, 1.0))


def z_test(seen: TimedCanaries) -> npt.NDArray[np.bool_]:
    """A one-sided z-test at 5 % at each look, of the requests beyond the bound at the stable version's p95."""
    bound = (seen.stable < P95 * seen.stable[..., -1:]).sum(axis=-1)[..., None]
    new, stable = seen.new[..., -1], seen.stable[..., -1]
    slow_new = new - np.take_along_axis(seen.new, bound, axis=-1)[..., 0]
    slow_stable = stable - np.take_along_axis(seen.stable, bound, axis=-1)[..., 0]
    pooled = (slow_new + slow_stable) / (new + stable)
    error = np.sqrt(pooled * (1 - pooled) * (1 / new + 1 / stable))
    found: npt.NDArray[np.bool_] = slow_new / new - slow_stable / stable > 1.6449 * np.where(error > 0, error, np.inf)
    return found


def evidence(limit: float, tolerated_ms: float) -> "Rule[TimedCanaries]":
    """The test of a rollout beyond a limit (logarithm)."""

    def rule(seen: TimedCanaries) -> npt.NDArray[np.bool_]:
        found = np.zeros(seen.new.shape[:2], dtype=bool)
        for run, look in np.ndindex(found.shape):
            if look == 0 or not found[run, look - 1]:
                new, stable = (_counts(each[run, look]) for each in (seen.new, seen.stable))
                found[run, look] = slower(ObservedStep(stable, new, SHARE, stable, new), tolerated_ms)[0] > limit
            else:
                found[run, look] = True  # nothing is looked at after a rollback
        return found

    return rule


def _counts(within: Numbers) -> VersionCounts:
    bounds = dict(zip([*BOUNDS.tolist(), math.inf], within.astype(int).tolist(), strict=True))
    return VersionCounts(int(within[-1]), within=bounds)


@click.command()
def main() -> None:
    """Print the table of `benchmarks/README.md`."""
    plan = RolloutPlan()
    rules: dict[str, Rule[TimedCanaries]] = {
        "canary p95 > 1.2 stable p95": fixed_threshold,
        "z-test, 5 % at each look": z_test,
        "e-value, alpha 5 %": evidence(log_limit(ALPHA, 1), plan.tolerated_ms),
        "rollout with its defaults": evidence(log_limit(plan.alpha, TESTS * len(plan.steps)), plan.tolerated_ms),
    }
    rows = []
    for stable_median, new_median in MEDIANS:
        seen = TimedCanaries.drawn(stable_median, new_median)
        outcomes = [described(rule(seen)) for rule in rules.values()]
        rows.append([f"{stable_median:g} ms / {new_median:g} ms", *outcomes])
    console.table(["median stable / canary", *rules], rows)


if __name__ == "__main__":
    console.run_command(main)
