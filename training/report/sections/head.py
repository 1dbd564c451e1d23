"""The numbers that a reader looks for first."""

from datetime import timedelta

import numpy as np

from training.report.evidence import Evidence
from training.report.page import Tile, Tiles
from training.report.resampling import gain_intervals
from training.report.sections.wording import bounds, said


def tiles(evidence: Evidence) -> Tiles:
    """How good it is, against what, and what it took."""
    metric, called = evidence.metric, said(evidence.metric)
    of_folds, of_holdout = evidence.fold_metrics[metric], evidence.holdout_metrics[metric]
    spent = sum((trial.duration for trial in evidence.trials), timedelta())
    failed = sum(not np.isfinite(trial.loss(metric)) for trial in evidence.trials)
    return Tiles(
        (
            Tile(f"{called}, mean of the folds", f"{of_folds.value:.4f}", f"{bounds(of_folds)} at 95 %"),
            Tile(f"{called}, holdout", f"{of_holdout.value:.4f}", f"{bounds(of_holdout)} at 95 %"),
            *_if_time_were_ignored(evidence),
            _against(evidence),
            Tile(
                "Trials",
                f"{len(evidence.trials)}",
                f"{failed} without a result; {spent.total_seconds():,.0f} s in all",
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
    return [Tile(name, f"{evidence.on_random_folds:.4f}", told)]


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
        f"Gain over version {rival.version}", f"{gain.value:+.4f}", f"{bounds(gain, '+.4f')} at 95 %, holdout{remark}"
    )
