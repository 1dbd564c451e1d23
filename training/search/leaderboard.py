"""The leaderboard of a search on the console: the best trials, measured on the folds alone.

The holdout stays out of it. Whoever sees it for several candidates can choose among them by it, and then it no longer
estimates the chosen one, for the gate as little as for a reader: docs/training.md, "Reading the leaderboard".
"""

from collections.abc import Sequence

import numpy as np

from lakehouse import console
from lakehouse.wording import number_of
from training.evaluation.metrics import METRICS
from training.search.trial import Trial

NONE = "-"


def print_leaderboard(trials: Sequence[Trial], metric: str, most: int) -> None:
    """Print the best `most` trials that have the metric, the baseline among them, and how many are not shown."""
    ranked = sorted(
        (trial for trial in trials if np.isfinite(trial.loss(metric))),
        key=lambda trial: (trial.loss(metric), trial.number),
    )
    if not most or not ranked:
        return
    header = ["rank", "trial", "family", metric, "folds", "behind the best", "on folds", "seconds"]
    rows = [_row(rank, trial, ranked[0], metric) for rank, trial in enumerate(ranked[:most], start=1)]
    console.table(header, rows)
    if hidden := len(trials) - len(rows):
        console.detail(f"{number_of('further trial', hidden)}: --leaderboard {len(trials)}, or the report")


def _row(rank: int, trial: Trial, best: Trial, metric: str) -> list[str]:
    """Cells of one trial: the mean of the folds, their range, and the loss of the mean against the best.

    The last is also counted by fold: a trial that is worse on all of them is behind, one on half of them is level.
    """
    folds = [fold[metric] for fold in trial.per_fold]
    losses = np.array(trial.fold_losses(metric))
    behind = np.array(best.fold_losses(metric))
    is_best, comparable = trial.number == best.number, len(losses) == len(behind) > 0
    gap = METRICS[metric].gain(best.metrics[metric], over=trial.metrics[metric])
    return [
        str(rank),
        str(trial.number),
        trial.candidate.family,
        f"{trial.metrics[metric]:.4f}",
        f"{min(folds):.4f} to {max(folds):.4f}" if folds else NONE,
        NONE if is_best else f"{gap:.4f}",
        NONE if is_best or not comparable else f"{int((losses > behind).sum())} of {len(losses)}",
        f"{trial.duration.total_seconds():.1f}",
    ]
