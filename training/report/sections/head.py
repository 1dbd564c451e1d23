"""The numbers that a reader looks for first."""

from datetime import timedelta

import numpy as np

from training.evaluation.weighted_metrics import gain_intervals
from training.report.evidence import Evidence
from training.report.page import Tile, Tiles
from training.report.wording import bounds, said, shown


def tiles(evidence: Evidence) -> Tiles:
    """How good it is, against what, and what it took."""
    metric, called = evidence.metric, said(evidence.metric)
    of_folds, of_holdout = evidence.fold_metrics[metric], evidence.holdout_metrics[metric]
    spent = sum((trial.duration for trial in evidence.trials), timedelta())
    stopped = sum(trial.status == "pruned" for trial in evidence.trials)
    failed = sum(not np.isfinite(trial.loss(metric)) for trial in evidence.trials) - stopped
    return Tiles(
        (
            Tile(f"{called}, mean of the folds", shown(of_folds.value), f"{bounds(of_folds)} at 95 %"),
            Tile(f"{called}, holdout", shown(of_holdout.value), f"{bounds(of_holdout)} at 95 %"),
            *_if_time_were_ignored(evidence),
            _against(evidence),
            Tile(
                "Trials",
                f"{len(evidence.trials)}",
                f"{stopped} stopped early, {failed} failed; {spent.total_seconds():,.0f} s in all",
            ),
            Tile(
                "Training rows",
                f"{evidence.provenance.rows:,}",
                f"{evidence.provenance.first:%Y-%m-%d} to {evidence.provenance.last:%Y-%m-%d}",
            ),
        )
    )


def _if_time_were_ignored(evidence: Evidence) -> list[Tile]:
    if not evidence.use_case.split.in_time:
        return []  # the folds are such already
    name, told = f"{said(evidence.metric)}, random folds", "what a split that ignores time would have promised"
    return [Tile(name, shown(evidence.on_random_folds), told)]


def _against(evidence: Evidence) -> Tile:
    rival = evidence.rival
    if rival is None or rival.outcomes is None:
        return Tile(
            "Against the champion",
            "-",
            "no champion" if rival is None else f"version {rival.version} cannot be asked",
        )
    gain = gain_intervals([evidence.metric], evidence.holdout, rival.outcomes)[evidence.metric]
    remark = "; not a fair comparison" if rival.remark else ""
    return Tile(
        f"Gain over version {rival.version}", shown(gain.value, "+"), f"{bounds(gain, '+')} at 95 %, holdout{remark}"
    )
