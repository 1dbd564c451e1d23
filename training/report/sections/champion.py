"""Comparison of the new version with the champion on the same holdout."""

from collections.abc import Sequence

from training.evaluation.resampling import format_draws
from training.evaluation.weighted_metrics import ScoredRows, resample_count
from training.report.champion_outcomes import ChampionOutcomes
from training.report.charts.sparklines import Scale, whisker
from training.report.evidence import Evidence
from training.report.page import (
    Block,
    Column,
    Paragraph,
    Table,
    WarningNote,
    bounds_cell,
    drawing_cell,
    gain_cell,
    number_cell,
    text_cell,
)
from training.report.wording import HOLDOUT, metric_name


def blocks(evidence: Evidence) -> Sequence[Block]:
    """Metrics of both versions and their difference, or the reason why they cannot be compared."""
    champion = evidence.champion
    if champion is None:
        blocks: list[Block] = [Paragraph("There is no champion yet.")]
    else:
        blocks = [WarningNote(_warning(champion))] if champion.remark else []
        if champion.outcomes is not None:
            blocks += [_explanation(evidence, champion), _table(evidence, champion, champion.outcomes)]
    return blocks


def _warning(champion: ChampionOutcomes) -> str:
    problem = "The champion cannot be compared" if champion.outcomes is None else "The comparison is not fair"
    return f"{problem}. Version {champion.version}: {champion.remark}."


def _explanation(evidence: Evidence, champion: ChampionOutcomes) -> Paragraph:
    return Paragraph(
        f"Version {evidence.version} and the champion, version {champion.version}, on the same "
        f"{len(evidence.holdout):,} rows of the {HOLDOUT}. A positive gain means that the new version is better. Its "
        f"interval is from {resample_count(len(evidence.holdout))} paired bootstrap resamples of "
        f"{format_draws(evidence.holdout.resamplings())}. The gate decides on promotion."
    )


def _table(evidence: Evidence, champion: ChampionOutcomes, outcomes: ScoredRows) -> Table:
    names = evidence.metrics
    gains = evidence.champion_gains
    rows = [
        (
            text_cell(metric_name(name)),
            number_cell(evidence.holdout.metric(name)),
            number_cell(outcomes.metric(name)),
            gain_cell(gains[name].value),
            bounds_cell(gains[name], "+"),
            drawing_cell(
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
        Column("Metric", "text"),
        Column(f"Version {evidence.version}"),
        Column(f"Champion, version {champion.version}"),
        Column("Gain"),
        Column("95 % interval"),
        Column("Gain and interval", "drawn", "Each row has its own scale. The vertical line is zero gain."),
    )
    marked = frozenset({names.index(evidence.metric)})
    return Table(f"Both versions on the {HOLDOUT}", columns, rows, marked)
