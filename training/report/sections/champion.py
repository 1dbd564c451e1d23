"""The new version beside the champion, on one holdout."""

from collections.abc import Sequence

from training.evaluation.weighted_metrics import ScoredRows, draws, gain_intervals
from training.report.champion_outcomes import Rival
from training.report.charts.sparklines import Scale, whisker
from training.report.evidence import Evidence
from training.report.page import Block, Column, Table, WarningText, Words, bounds_cell, drawn, gained, number, words
from training.report.wording import HOLDOUT, said


def blocks(evidence: Evidence) -> Sequence[Block]:
    """Both versions' metrics and their difference, or why there is none."""
    rival = evidence.rival
    if rival is None:
        blocks: list[Block] = [Words("There is no champion yet to compare with.")]
    else:
        blocks = [WarningText(f"Version {rival.version}: {rival.remark}")] if rival.remark else []
        if rival.outcomes is not None:
            blocks += [_words(evidence, rival), _table(evidence, rival, rival.outcomes)]
    return blocks


def _words(evidence: Evidence, rival: Rival) -> Words:
    return Words(
        f"Version {evidence.version} and the champion, version {rival.version}, on the same "
        f"{len(evidence.holdout):,} rows of the {HOLDOUT}. The gain is positive where the new version is better; its "
        f"interval comes of {draws(len(evidence.holdout))} resamples that draw the rows of both in pairs. The gate "
        "decides on promotion."
    )


def _table(evidence: Evidence, rival: Rival, old: ScoredRows) -> Table:
    names = evidence.metrics
    gains = gain_intervals(names, evidence.holdout, old)
    rows = [
        (
            words(said(name)),
            number(evidence.holdout.metric(name)),
            number(old.metric(name)),
            gained(gains[name].value),
            bounds_cell(gains[name], "+"),
            drawn(
                whisker(
                    Scale.of([gains[name].low, gains[name].high, 0.0]),
                    gains[name].low,
                    gains[name].value,
                    gains[name].high,
                    0.0,
                ),
                gains[name].value,
            ),
        )
        for name in names
    ]
    columns = (
        Column("Metric", "words"),
        Column(f"Version {evidence.version}"),
        Column(f"Champion, version {rival.version}"),
        Column("Gain"),
        Column("95 % interval"),
        Column("Against no gain", "drawn", "Each on a scale of its own; the upright line is no gain."),
    )
    marked = frozenset({names.index(evidence.metric)})
    return Table(f"Both versions on the {HOLDOUT}", columns, rows, marked)
