"""`python -m benchmarks.rollout.false_rollbacks`: false rollbacks of equal versions, and requests until a bad one's.

Simulated canaries are looked at again and again, and judged by a fixed threshold, by a z-test at each look, by the
e-value of a rollout alone, and by a rollout with its defaults, which has five tests in each of two steps.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import click
import numpy as np
import numpy.typing as npt

from deployment.rollout.limits.checks import TESTS
from deployment.rollout.limits.evidence import log_e_value, log_limit
from lakehouse import console
from training.use_case.rollout import RolloutPlan

SHARE, LOOK, REQUESTS, RUNS, ALPHA = 0.1, 200, 20_000, 400, 0.05
Numbers = npt.NDArray[np.float64]
RATES = ((0.001, 0.001), (0.01, 0.01), (0.05, 0.05), (0.001, 0.02), (0.01, 0.03), (0.001, 0.005), (0.01, 0.015))


@dataclass(frozen=True)
class Canaries:
    """Cumulative counts of many canaries at each look, of shape (runs, looks)."""

    new: Numbers
    stable: Numbers
    new_errors: Numbers
    stable_errors: Numbers

    @classmethod
    def drawn(cls, stable_rate: float, new_rate: float, seed: int = 1) -> "Canaries":
        draw = np.random.default_rng(seed)
        new = draw.binomial(LOOK, SHARE, (RUNS, REQUESTS // LOOK))
        stable = LOOK - new
        errors = draw.binomial(new, new_rate), draw.binomial(stable, stable_rate)
        return cls(*(np.cumsum(each, axis=1).astype(float) for each in (new, stable, *errors)))


Drawn = TypeVar("Drawn")
Rule = Callable[[Drawn], npt.NDArray[np.bool_]]  # from canaries to runs and looks that it rolls back


def fixed_threshold(seen: Canaries) -> npt.NDArray[np.bool_]:
    """Roll back if the canary's error rate is one percentage point higher, from 20 requests on."""
    return (seen.new >= 20) & (seen.new_errors / seen.new > seen.stable_errors / seen.stable + 0.01)


def z_test(seen: Canaries) -> npt.NDArray[np.bool_]:
    """A one-sided z-test at 5 % at each look."""
    pooled = (seen.new_errors + seen.stable_errors) / (seen.new + seen.stable)
    error = np.sqrt(pooled * (1 - pooled) * (1 / seen.new + 1 / seen.stable))
    difference = seen.new_errors / seen.new - seen.stable_errors / seen.stable
    return difference > 1.6449 * np.where(error > 0, error, np.inf)


def e_value(limit: float) -> Rule[Canaries]:
    """The mixture e-value of a rollout beyond a limit (logarithm)."""
    log_e_values = np.vectorize(log_e_value, otypes=[float])

    def rule(seen: Canaries) -> npt.NDArray[np.bool_]:
        found: Numbers = log_e_values(seen.new_errors, seen.new_errors + seen.stable_errors, SHARE)
        return found > limit

    return rule


def described(rolled_back: npt.NDArray[np.bool_]) -> str:
    """Share of the canaries that were rolled back, and the median number of requests until then.

    >>> described(np.array([[False, True], [False, False]]))
    '50.0 % (400)'
    """
    found = rolled_back.any(axis=1)
    if not found.any():
        return "0.0 %"
    requests = np.median(rolled_back.argmax(axis=1)[found] + 1) * LOOK
    return f"{100 * found.mean():.1f} % ({requests:,.0f})"


@click.command()
def main() -> None:
    """Print the table of `benchmarks/README.md`."""
    plan = RolloutPlan()
    rules: dict[str, Rule[Canaries]] = {
        "canary > stable + 1 pp": fixed_threshold,
        "z-test, 5 % at each look": z_test,
        "e-value, alpha 5 %": e_value(log_limit(ALPHA, 1)),
        "rollout with its defaults": e_value(log_limit(plan.alpha, TESTS * len(plan.steps))),
    }
    rows = []
    for stable_rate, new_rate in RATES:
        seen = Canaries.drawn(stable_rate, new_rate)
        with np.errstate(divide="ignore", invalid="ignore"):
            outcomes = [described(rule(seen)) for rule in rules.values()]
        rows.append([f"{100 * stable_rate:g} % / {100 * new_rate:g} %", *outcomes])
    console.table(["errors stable / canary", *rules], rows)


if __name__ == "__main__":
    console.run_command(main)
