"""How good the version is: every metric with its interval, on the folds and on the holdout."""

from collections.abc import Sequence

from lakehouse.console import number_of
from training.evaluation.metrics import METRICS
from training.report.charts.sparklines import Scale, strip
from training.report.evidence import Evidence
from training.report.page import Block, Column, Folded, Table, Words, bounds_cell, drawn, number, words
from training.report.wording import said


def blocks(evidence: Evidence) -> Sequence[Block]:
    """Metrics, and the folds one by one."""
    folds, plan, held = number_of("fold", len(evidence.tried)), evidence.use_case.split, len(evidence.holdout)
    return (
        Words(
            f"Validation: {len(evidence.validation):,} rows of {folds} {plan.told}, each scored by the winning "
            f"candidate fitted on {'what came before it' if plan.in_time else 'the other folds'} alone. Holdout: "
            f"{f'the last {held:,} rows' if plan.in_time else f'{held:,} rows of other entities'}, scored once by "
            "the registered version; no trial saw them."
        ),
        _metrics(evidence),
        Folded("Fold by fold", (_folds(evidence),)),
    )


def _metrics(evidence: Evidence) -> Table:
    rows = []
    for name in evidence.fold_metrics:
        of_folds, of_holdout = evidence.fold_metrics[name], evidence.holdout_metrics[name]
        per_fold = [tried.outcomes.metric(name) for tried in evidence.tried]
        rows.append(
            (
                words(said(name)),
                number(of_folds.value),
                bounds_cell(of_folds),
                drawn(strip(Scale.of(per_fold), per_fold), of_folds.value),
                number(of_holdout.value),
                bounds_cell(of_holdout),
            )
        )
    columns = (
        Column("Metric", "words"),
        Column("Mean of the folds"),
        Column("95 % interval"),
        Column("Each fold", "drawn", "One point a fold, on a scale of its own; the upright line is the mean."),
        Column("Holdout"),
        Column("95 % interval"),
    )
    greater = ", ".join(said(name) for name in evidence.metrics if not METRICS[name].greater_is_better)
    caption = "Metrics with percentile intervals of the bootstrap. More is better" + (
        f", but for {greater}, where less is." if greater else "."
    )
    return Table(
        caption,
        columns,
        rows,
        frozenset(i for i, name in enumerate(evidence.fold_metrics) if name == evidence.metric),
    )


def _folds(evidence: Evidence) -> Block:
    columns = [
        Column("Fold"),
        Column("Fitted on"),
        Column("Validated on"),
        Column("From", "words"),
        Column("To", "words"),
        *([Column("Mean label")] if evidence.task.mean_label else []),
        *(Column(said(name)) for name in evidence.metrics),
    ]
    rows = [
        (
            number(place, "d"),
            number(len(tried.fold.fit), ",d"),
            number(len(tried.fold.validate), ",d"),
            words(f"{tried.fold.validate.first:%Y-%m-%d}"),
            words(f"{tried.fold.validate.last:%Y-%m-%d}"),
            *([number(float(tried.fold.validate.y.mean()))] if evidence.task.mean_label else []),
            *(number(tried.outcomes.metric(name)) for name in evidence.metrics),
        )
        for place, tried in enumerate(evidence.tried, start=1)
    ]
    in_time = "Each fold validates on what came after all it was fitted on."
    told = in_time if evidence.use_case.split.in_time else "Each fold validates on what the others are fitted on."
    return Table(told, columns, rows)
