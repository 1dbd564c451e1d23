"""Rates of wrong and right promotions by the gate, on simulated models with a known true difference.

Four parts: pairs of models on independent rows; pairs on rows that depend on each other; weekly retrainings on a
holdout that moves with the data; and slices. `benchmarks.harness.simulated_models` describes the models.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import TypeVar

import click
import numpy as np

from benchmarks.harness.simulated_models import (
    ACCURACY,
    CHAMPION,
    CONFIDENCE,
    POSITIVE,
    STRUCTURES,
    Challengers,
    Series,
    dependent_pair,
    equal_slices_refused,
    scores,
    weekly_retrainings,
    worse_slice_refused,
)
from deployment.gate.criteria.comparison import gain
from lakehouse import console
from lakehouse.options.choices import OneOf
from training.evaluation.bootstrap import Interval
from training.evaluation.weighted_metrics import ScoredRows

MARGIN, BETTER = 0.005, 0.02
TRUTH: Mapping[str, float] = {"equal": 0.0, "worse by the margin": -MARGIN, "better by 0.02": BETTER}
HALF_YEAR, YEAR = 26, 52
SLICES, SLICE_LIMIT = 20, 0.03
Found = TypeVar("Found")


@dataclass(frozen=True)
class Outcome:
    """Decisions of the three rules on one pair."""

    superior: bool
    not_inferior: bool
    as_large: bool


@dataclass(frozen=True)
class Runs:
    """Runs each simulation with the seeds 0 to `count - 1`."""

    workers: ProcessPoolExecutor
    count: int

    def of(self, simulation: Callable[..., Found], *arguments: object, **named: object) -> list[Found]:
        """The results of the simulation, whose last argument is the seed."""
        run = partial(_seeded, partial(simulation, *arguments, **named))
        return list(self.workers.map(run, range(self.count), chunksize=max(self.count // 16, 1)))


def _seeded(simulation: Callable[..., Found], seed: int) -> Found:
    return simulation(seed=seed)


def decide_pair(difference: float, rows: int, seed: int) -> Outcome:
    """Decide one pair on one holdout: superiority without a margin, non-inferiority, and `>=`."""
    draw = np.random.default_rng([seed, rows])
    labels = (draw.random(rows) < POSITIVE).astype(np.int64)
    labels[:2] = 0, 1
    common = draw.normal(size=rows)
    new, old = (
        ScoredRows(labels, scores(area, labels, common, draw.normal(size=rows)), 0.5)
        for area in (CHAMPION + difference, CHAMPION)
    )
    interval: Interval = gain("roc_auc", new, old, CONFIDENCE)
    return Outcome(interval.low > 0, interval.low > -MARGIN, interval.value >= 0)


def pairs(runs: Runs, rows: tuple[int, ...]) -> None:
    """Pairs of models on independent rows."""
    console.stage(f"{runs.count:,} pairs per true difference; ROC AUC of the champion {CHAMPION}")
    table = []
    for truth, difference in TRUTH.items():
        for size in rows:
            found = runs.of(decide_pair, difference, size)
            rules = ("superior", "not_inferior", "as_large")
            table.append([truth, f"{size:,}", *(_share([getattr(each, rule) for each in found]) for rule in rules)])
    console.table(["challenger", "rows", "superior", f"not inferior by {MARGIN}", "plain >="], table)
    console.detail(
        f"Expected at most {1 - CONFIDENCE:.0%}: equal pairs promoted as superior, and pairs worse by the margin"
        " promoted as not inferior. For better challengers, the share is the power."
    )


def dependent_rows(runs: Runs) -> None:
    """Error rates on rows that depend on each other."""
    console.stage(f"1,000 rows, {runs.count:,} equal pairs: promoted as superior by draws of rows, and of units")
    table = []
    for structure in STRUCTURES:
        found = runs.of(dependent_pair, structure)
        table.append([structure, *(_share([promoted[rule] for promoted in found]) for rule in (0, 1))])
    console.table(["rows", "rows drawn", "entities and blocks of time drawn"], table)


def retrainings(runs: Runs) -> None:
    """Weekly retrainings, with 5 % for each attempt, and with the error rate spent over the attempts."""
    console.stage(f"{runs.count:,} series of weekly retrainings; 4,000 rows of 10 weeks; true accuracy {ACCURACY}")
    table = []
    for challenger, plan in (
        ("equal, superiority", Challengers(HALF_YEAR, 0.0, superior=True)),
        ("better by 0.01, superiority", Challengers(HALF_YEAR, 0.01, superior=True)),
        ("better by 0.02, superiority", Challengers(HALF_YEAR, 0.02, superior=True)),
        ("equal, non-inferiority", Challengers(HALF_YEAR, 0.0, superior=False)),
        ("each 0.005 worse, non-inferiority", Challengers(YEAR, -0.005, superior=False, follows=True)),
    ):
        for guarded in (False, True):
            found = runs.of(weekly_retrainings, plan, guarded=guarded)
            table.append([challenger, "spent" if guarded else "5 % each", f"{plan.weeks}", *_series_cells(found)])
    console.table(
        ["challenger, test", "error rate", "weeks", "in week 1", "ever", "promotions", "accuracy", "lowest 5 %"],
        table,
    )


def _series_cells(found: list[Series]) -> list[str]:
    last = np.asarray([each.accuracy for each in found])
    return [
        _share([each.promoted[0] for each in found]),
        _share([any(each.promoted) for each in found]),
        f"{np.mean([sum(each.promoted) for each in found]):.2f}",
        f"{last.mean() - ACCURACY:+.4f}",
        f"{np.quantile(last, 0.05) - ACCURACY:+.4f}",
    ]


def slices(runs: Runs) -> None:
    """Slices: refusals of an equal model, and of one that is worse on a slice."""
    console.stage(f"{SLICES} slices, one of them worse; limit of the drop {SLICE_LIMIT}; {runs.count:,} models")
    table = []
    for rows, drops in ((250, (0.0, 0.03, 0.049, 0.08, 0.1)), (1_000, (0.03, 0.049, 0.08))):
        for drop in drops:
            sizes = SLICES, rows, SLICE_LIMIT
            found = runs.of(worse_slice_refused, *sizes, drop) if drop else runs.of(equal_slices_refused, *sizes)
            shares = [_share([refused[rule] for refused in found]) for rule in (0, 1)]
            table.append([f"{rows:,}", f"{drop:g}", *shares])
    console.table(["rows of a slice", "true drop", "refused by the estimate", "refused by the bound"], table)


def _share(values: list[bool]) -> str:
    return f"{sum(values) / len(values):.1%}"


PARTS: Mapping[str, Callable[[Runs], None]] = {
    "retrainings": retrainings,
    "slices": slices,
    "dependent_rows": dependent_rows,
}


@click.command()
@click.option(
    "--runs", "count", type=click.IntRange(1), default=1_000, show_default=True, help="Simulations for each row."
)
@click.option("--rows", type=click.IntRange(50), multiple=True, default=(250, 1_000, 4_000), show_default=True)
@click.option("--processes", type=click.IntRange(1), default=2, show_default=True)
@click.option("--part", type=OneOf(["pairs", *PARTS]), multiple=True, help="Only this part; all by default.")
def main(count: int, rows: tuple[int, ...], processes: int, part: tuple[str, ...]) -> None:
    """Report the shares of challengers that the gate promotes or refuses, by their true difference."""
    with ProcessPoolExecutor(processes, get_context("spawn")) as workers:
        runs = Runs(workers, count)
        if not part or "pairs" in part:
            pairs(runs, rows)
        for name, run in PARTS.items():
            if not part or name in part:
                run(runs)


if __name__ == "__main__":
    console.run_command(main)
