"""Rates of wrong and right promotions by the gate, on pairs of models with a known true difference.

Scores are normal for each label, so the true ROC AUC of a model is known exactly: an area `p` requires a distance of
`sqrt(2) * probit(p)` between the labels. The two models of a pair share most of their noise, like two models trained
on nearly the same rows.
"""

from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import click
import numpy as np
from scipy.stats import norm

from deployment.gate.comparison import gain
from lakehouse import console
from training.evaluation.bootstrap import Interval
from training.evaluation.weighted_metrics import ScoredRows

CHAMPION, MARGIN, BETTER, CONFIDENCE = 0.75, 0.005, 0.02, 0.95
POSITIVE, SHARED = 0.3, 0.9  # share of label 1, and share of the noise common to a pair
TRUTH: Mapping[str, float] = {"equal": 0.0, "worse by the margin": -MARGIN, "better by 0.02": BETTER}


@dataclass(frozen=True)
class Outcome:
    """Decisions of the three rules on one pair."""

    superior: bool
    not_inferior: bool
    as_large: bool


def decide_pair(difference: float, rows: int, seed: int) -> Outcome:
    """Decide one pair on one holdout: superiority without a margin, non-inferiority, and `>=`."""
    draw = np.random.default_rng([seed, rows])
    labels = (draw.random(rows) < POSITIVE).astype(np.int64)
    labels[:2] = 0, 1
    common = draw.normal(size=rows)
    new, old = (
        ScoredRows(labels, _scores(area, labels, common, draw), 0.5) for area in (CHAMPION + difference, CHAMPION)
    )
    interval: Interval = gain("roc_auc", new, old, CONFIDENCE)
    return Outcome(interval.low > 0, interval.low > -MARGIN, interval.value >= 0)


def _scores(area: float, labels: np.ndarray, common: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    individual = draw.normal(size=len(labels))
    noise = np.sqrt(SHARED) * common + np.sqrt(1 - SHARED) * individual
    return np.asarray(norm.cdf(labels * np.sqrt(2) * norm.ppf(area) + noise))


def shares(difference: float, rows: int, pairs: int, workers: ProcessPoolExecutor) -> list[float]:
    """Share of the pairs that each rule promotes."""
    outcomes = list(workers.map(partial(decide_pair, difference, rows), range(pairs), chunksize=max(pairs // 16, 1)))
    return [
        sum(getattr(each, rule) for each in outcomes) / pairs for rule in ("superior", "not_inferior", "as_large")
    ]


@click.command()
@click.option(
    "--pairs",
    type=click.IntRange(1),
    default=1_000,
    show_default=True,
    help="Pairs per difference and size of the holdout.",
)
@click.option("--rows", type=click.IntRange(50), multiple=True, default=(250, 1_000, 4_000), show_default=True)
@click.option("--processes", type=click.IntRange(1), default=2, show_default=True)
def main(pairs: int, rows: tuple[int, ...], processes: int) -> None:
    """Report the share of pairs that each rule promotes, by true difference and size of the holdout."""
    console.stage(f"{pairs:,} pairs per true difference; ROC AUC of the champion {CHAMPION}")
    table = []
    with ProcessPoolExecutor(processes, get_context("spawn")) as workers:
        for truth, difference in TRUTH.items():
            for size in rows:
                promoted = shares(difference, size, pairs, workers)
                table.append([truth, f"{size:,}", *(f"{share:.1%}" for share in promoted)])
    console.table(["challenger", "rows", "superior", f"not inferior by {MARGIN}", "plain >="], table)
    console.detail(
        f"Expected at most {1 - CONFIDENCE:.0%}: equal pairs promoted as superior, and pairs worse by the margin"
        " promoted as not inferior. For better challengers, the share is the power."
    )


if __name__ == "__main__":
    console.run_command(main)
