"""How often the gate promotes what it should not, and what it should: pairs of models whose true difference is known.

Scores are normal for each label, so that the ROC AUC of a model is known without error: of the share `p` it takes a
distance of `sqrt(2) * probit(p)` between the labels. The two models of a pair share most of their noise, as two that
were trained on nearly the same rows do.
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
POSITIVE, SHARED = 0.3, 0.9  # the share of label 1, and of the noise that a pair has in common
TRUTH: Mapping[str, float] = {"equal": 0.0, "worse by the margin": -MARGIN, "better by 0.02": BETTER}


@dataclass(frozen=True)
class Outcome:
    """What the three rules say about one pair."""

    superior: bool
    not_inferior: bool
    as_large: bool


def judged(difference: float, rows: int, seed: int) -> Outcome:
    """One pair on one holdout: by superiority with no margin, by non-inferiority, and by `>=`."""
    draw = np.random.default_rng([seed, rows])
    labels = (draw.random(rows) < POSITIVE).astype(np.int64)
    labels[:2] = 0, 1
    common = draw.normal(size=rows)
    new, old = (
        ScoredRows(labels, _scores(area, labels, common, draw), 0.5) for area in (CHAMPION + difference, CHAMPION)
    )
    found: Interval = gain("roc_auc", new, old, CONFIDENCE)
    return Outcome(found.low > 0, found.low > -MARGIN, found.value >= 0)


def _scores(area: float, labels: np.ndarray, common: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    own = draw.normal(size=len(labels))
    noise = np.sqrt(SHARED) * common + np.sqrt(1 - SHARED) * own
    return np.asarray(norm.cdf(labels * np.sqrt(2) * norm.ppf(area) + noise))


def shares(difference: float, rows: int, pairs: int, workers: ProcessPoolExecutor) -> list[float]:
    """Which share of the pairs each rule promotes."""
    found = list(workers.map(partial(judged, difference, rows), range(pairs), chunksize=max(pairs // 16, 1)))
    return [sum(getattr(each, rule) for each in found) / pairs for rule in ("superior", "not_inferior", "as_large")]


@click.command()
@click.option("--pairs", type=click.IntRange(1), default=1_000, show_default=True, help="Of each kind and size.")
@click.option("--rows", type=click.IntRange(50), multiple=True, default=(250, 1_000, 4_000), show_default=True)
@click.option("--processes", type=click.IntRange(1), default=2, show_default=True)
def main(pairs: int, rows: tuple[int, ...], processes: int) -> None:
    """The share of pairs that each rule promotes, by what is true and by the size of the holdout."""
    console.stage(f"{pairs:,} pairs of each kind; the champion's ROC AUC is {CHAMPION}")
    table = []
    with ProcessPoolExecutor(processes, get_context("spawn")) as workers:
        for truth, difference in TRUTH.items():
            for size in rows:
                told = shares(difference, size, pairs, workers)
                table.append([truth, f"{size:,}", *(f"{share:.1%}" for share in told)])
    console.table(["challenger", "rows", "superior", f"not inferior by {MARGIN}", "plain >="], table)
    console.detail(
        f"At most {1 - CONFIDENCE:.0%} are to be promoted of the equal ones as superior, and of those that are worse"
        " by the margin as not inferior. Of the better ones, the share is the power."
    )


if __name__ == "__main__":
    console.run_command(main)
