"""Performance of the version: all metrics with intervals, on the folds and on the holdout."""

from collections.abc import Sequence
from math import nan

from lakehouse.wording import number_of
from training.evaluation.metrics import METRICS
from training.report.charts.sparklines import Scale, strip
from training.report.evidence import Evidence
from training.report.page import (
    Block,
    Collapsed,
    Column,
    Paragraph,
    Table,
    bounds_cell,
    drawing_cell,
    number_cell,
    text_cell,
)
from training.report.wording import metric_name

BASELINE_TOOLTIP = (
    "Predicts without features: the labels' mean, and for a decision the better of always 0 and always 1"
)


def blocks(evidence: Evidence) -> Sequence[Block]:
    """Table of metrics, and metrics of each fold."""
    folds, split = number_of("fold", len(evidence.fold_results)), evidence.use_case.split.kind
    return (
        Paragraph(
            f"Validation: {len(evidence.validation):,} rows of {folds} {split.order}. The winning candidate predicts "
            f"each fold after it is fitted on {split.training_rows} only. Holdout: "
            f"{split.holdout_rows(len(evidence.holdout))}, unseen by all trials and predicted once by the registered "
            "version."
        ),
        _metrics(evidence),
        Collapsed("Metrics of each fold", (_folds(evidence),)),
    )


def _metrics(evidence: Evidence) -> Table:
    rows = []
    for name in evidence.fold_metrics:
        folds, holdout = evidence.fold_metrics[name], evidence.holdout_metrics[name]
        per_fold = [result.outcomes.metric(name) for result in evidence.fold_results]
        rows.append(
            (
                text_cell(metric_name(name)),
                number_cell(folds.value),
                bounds_cell(folds),
                drawing_cell(strip(Scale.of(per_fold), per_fold), folds.value),
                number_cell(evidence.baseline_on_folds.get(name, nan)),
                number_cell(holdout.value),
                bounds_cell(holdout),
                number_cell(evidence.baseline_on_holdout[name]),
            )
        )
    columns = (
        Column("Metric", "text"),
        Column("Mean of folds"),
        Column("95 % interval"),
        Column(
            "Each fold", "drawn", "One point per fold; each row has its own scale. The vertical line is the mean."
        ),
        Column("Baseline", tooltip=BASELINE_TOOLTIP),
        Column("Holdout"),
        Column("95 % interval"),
        Column("Baseline", tooltip=BASELINE_TOOLTIP),
    )
    losses = ", ".join(metric_name(name) for name in evidence.metrics if not METRICS[name].greater_is_better)
    lower = f" Lower is better for {losses}; higher is better for the other metrics." if losses else ""
    caption = f"Metrics with bootstrap intervals. The highlighted metric ranks the trials.{lower}"
    return Table(
        caption,
        columns,
        rows,
        frozenset(i for i, name in enumerate(evidence.fold_metrics) if name == evidence.metric),
    )


def _folds(evidence: Evidence) -> Block:
    columns = [
        Column("Fold"),
        Column("Training rows"),
        Column("Validation rows"),
        Column("From", "text"),
        Column("To", "text"),
        *([Column("Mean label")] if evidence.task.has_mean_label else []),
        *(Column(metric_name(name)) for name in evidence.metrics),
    ]
    rows = [
        (
            number_cell(index, "d"),
            number_cell(len(result.fold.fit), ",d"),
            number_cell(len(result.fold.validate), ",d"),
            text_cell(f"{result.fold.validate.first:%Y-%m-%d}"),
            text_cell(f"{result.fold.validate.last:%Y-%m-%d}"),
            *([number_cell(float(result.fold.validate.y.mean()))] if evidence.task.has_mean_label else []),
            *(number_cell(result.outcomes.metric(name)) for name in evidence.metrics),
        )
        for index, result in enumerate(evidence.fold_results, start=1)
    ]
    training_rows = evidence.use_case.split.kind.training_rows
    return Table(f"Each fold validates a model that is fitted on {training_rows} only.", columns, rows)
