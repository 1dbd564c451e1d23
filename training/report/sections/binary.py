"""Curves of a binary task, and the decisions at its threshold."""

from collections.abc import Sequence

import numpy as np

from training.evaluation import curves
from training.evaluation.weighted_metrics import RowSets, ScoredRows
from training.report.charts.drawing import (
    Area,
    Axis,
    Bars,
    Dots,
    Line,
    Mark,
    chart,
    downsampled,
    evenly_spaced,
    vertical,
)
from training.report.evidence import Evidence
from training.report.page import Block, Column, Figure, Figures, LegendEntry, Paragraph, Table, number_cell, text_cell
from training.report.wording import HOLDOUT, VALIDATION

STYLES = {VALIDATION: "s1", HOLDOUT: "s2 dashed"}
LEGEND = tuple(LegendEntry(name, style) for name, style in STYLES.items())


def blocks(evidence: Evidence) -> Sequence[Block]:
    """ROC, precision and recall, calibration, thresholds and confusion."""
    row_sets = {VALIDATION: evidence.validation, HOLDOUT: evidence.holdout}
    threshold = evidence.scorer.response_format.threshold
    return (
        Paragraph(
            "Blue: the validation folds, all rows pooled, each predicted by a model that was not fitted on it. Thin "
            "lines are single folds. Orange, dashed: the holdout."
        ),
        Figures(
            (
                _roc(evidence, row_sets),
                _precision_recall(evidence, row_sets),
                _calibration(row_sets),
                _distribution(row_sets, threshold),
                _thresholds(evidence.validation),
            )
        ),
        _confusion(row_sets),
    )


def _roc(evidence: Evidence, row_sets: RowSets) -> Figure:
    marks: list[Mark] = [Line([(0, 0), (1, 1)], "reference")]
    for result in evidence.fold_results:
        curve = curves.roc(result.outcomes)
        marks.append(Line(downsampled(curve.x, curve.y, 80), "s1 thin"))
    for name, rows in row_sets.items():
        curve = curves.roc(rows)
        marks += _curve(
            curve,
            STYLES[name],
            f"{name}, threshold {{t:.3f}}: true positive rate {{y:.1%}}, false positive rate {{x:.1%}}",
        )
    areas = ", ".join(f"{name} {rows.metric('roc_auc'):.4f}" for name, rows in row_sets.items())
    return Figure(
        "ROC",
        chart(
            Axis("false positive rate", 0, 1), Axis("true positive rate", 0, 1), marks, f"ROC curves. Areas: {areas}."
        ),
        f"Area under the pooled curve: {areas}. Pooling compares predictions of different models; trials are ranked "
        "by the mean of the folds instead.",
        LEGEND,
    )


def _precision_recall(evidence: Evidence, row_sets: RowSets) -> Figure:
    marks: list[Mark] = []
    for result in evidence.fold_results:
        curve = curves.precision_recall(result.outcomes)
        marks.append(Line(downsampled(curve.x, curve.y, 80), "s1 thin"))
    for name, rows in row_sets.items():
        share = float(rows.labels.mean())
        marks.append(Line([(0, share), (1, share)], "reference"))
        marks += _curve(
            curves.precision_recall(rows),
            STYLES[name],
            f"{name}, threshold {{t:.3f}}: precision {{y:.1%}}, recall {{x:.1%}}",
        )
    areas = ", ".join(f"{name} {rows.metric('average_precision'):.4f}" for name, rows in row_sets.items())
    return Figure(
        "Precision and recall",
        chart(
            Axis("recall", 0, 1),
            Axis("precision", 0, 1),
            marks,
            f"Precision against recall. Average precision: {areas}.",
        ),
        f"Average precision: {areas}. Dashed lines are the shares of label 1, the precision of a random decision.",
        LEGEND,
    )


def _calibration(row_sets: RowSets) -> Figure:
    bins = {name: curves.reliability(rows) for name, rows in row_sets.items()}
    top = min(1.0, 1.08 * max(max(bin.predicted, bin.bounds()[1]) for found in bins.values() for bin in found))
    marks: list[Mark] = [Line([(0, 0), (top, top)], "reference")]
    for name, found in bins.items():
        style = STYLES[name]
        bounds = [bin.bounds() for bin in found]
        marks.append(
            Area(
                [(bin.predicted, low) for bin, (low, _) in zip(found, bounds, strict=True)],
                [(bin.predicted, high) for bin, (_, high) in zip(found, bounds, strict=True)],
                style,
            )
        )
        points = [(bin.predicted, bin.observed) for bin in found]
        tips = [
            f"{name}: {bin.rows:,} rows, predicted {bin.predicted:.3f}, observed {bin.observed:.3f}" for bin in found
        ]
        marks += [Line(points, style), Dots(points, style.split()[0], tips)]
    errors = ", ".join(f"{name} {curves.calibration_error(rows):.4f}" for name, rows in row_sets.items())
    counts = ", ".join(
        f"{name} {len(found)} bins of about {np.median([bin.rows for bin in found]):,.0f} rows"
        for name, found in bins.items()
    )
    return Figure(
        "Calibration",
        chart(
            Axis("mean predicted probability", 0, top),
            Axis("observed share of label 1", 0, top),
            marks,
            f"Reliability. Expected calibration error: {errors}.",
        ),
        f"Expected calibration error: {errors} ({counts}; bands are 95 % intervals). On the dashed line, "
        "predicted and observed probability are equal.",
        LEGEND,
    )


def _distribution(row_sets: RowSets, threshold: float) -> Figure:
    rows = row_sets[VALIDATION]
    top = max(float(np.quantile(rows.predicted, 0.999)), threshold * 1.1)
    edges = np.linspace(0, min(1.0, top), 31)
    marks: list[Mark] = []
    tallest = 0.0
    for label, style in ((0, "s6 soft"), (1, "s3 soft")):
        predicted = rows.predicted[rows.labels == label]
        shares = np.histogram(predicted.clip(0, edges[-1]), edges)[0] / max(len(predicted), 1)
        tallest = max(tallest, float(shares.max()))
        tips = [
            f"label {label}: {share:.1%} of rows from {low:.3f} to {high:.3f}"
            for share, low, high in zip(shares, edges, edges[1:], strict=False)
        ]
        marks.append(
            Bars(list(zip(edges[:-1].tolist(), edges[1:].tolist(), shares.tolist(), strict=True)), style, tips)
        )
    y = Axis("share of the label's rows", 0, tallest * 1.05)
    marks.append(vertical(threshold, y, "best"))
    return Figure(
        "Predictions by label",
        chart(
            Axis("predicted probability", 0, float(edges[-1])),
            y,
            marks,
            "Histogram of predicted probabilities by label.",
        ),
        f"Validation folds: the share of rows of each label by predicted probability. The vertical line is the "
        f"threshold {threshold:.4g}. The last bar includes all higher predictions.",
        (LegendEntry("label 0", "s6 soft", "area"), LegendEntry("label 1", "s3 soft", "area")),
    )


def _thresholds(rows: ScoredRows) -> Figure:
    found = curves.decisions(rows)
    curves_drawn = {
        "precision": ("s1", found.precision),
        "recall": ("s2", found.recall),
        "F1": ("s3", found.f1),
        "share decided 1": ("s6 dashed", found.flagged),
    }
    x = Axis("threshold", 0, max(float(found.thresholds.max()), rows.threshold) * 1.02)
    y = Axis("", 0, 1)
    marks: list[Mark] = [vertical(rows.threshold, y, "best")]
    for name, (style, values) in curves_drawn.items():
        marks.append(Line(downsampled(found.thresholds, values, 100), style))
        marks.append(
            Dots(
                list(zip(found.thresholds[::6].tolist(), values[::6].tolist(), strict=True)),
                f"{style.split()[0]} hover",
                [
                    f"threshold {t:.3f}: {name} {value:.3f}"
                    for value, t in zip(values[::6], found.thresholds[::6], strict=True)
                ],
            )
        )
    best = int(np.argmax(found.f1))
    return Figure(
        "Decision threshold",
        chart(
            x,
            y,
            marks,
            f"Precision, recall and F1 by threshold. The threshold of the version is {rows.threshold:.4g}.",
        ),
        f"Validation folds. The vertical line is the threshold of the version, {rows.threshold:.4g}. The highest F1 "
        f"is {found.f1[best]:.4f}, at threshold {found.thresholds[best]:.4f}.",
        tuple(LegendEntry(name, style) for name, (style, _) in curves_drawn.items()),
    )


def _confusion(row_sets: RowSets) -> Table:
    columns = (
        Column("Data", "text"),
        Column("Label", "text"),
        Column("Decided 0"),
        Column("Decided 1"),
        Column("Rows"),
        Column("Correct"),
    )
    lines = []
    for name, rows in row_sets.items():
        for label, cells in enumerate(curves.confusion(rows)):
            total = cells.sum()
            counts = (number_cell(count, ",.0f") for count in (*cells, total))
            lines.append((text_cell(name), text_cell(str(label)), *counts, number_cell(cells[label] / total, ".1%")))
    return Table(f"Confusion matrix at threshold {row_sets[VALIDATION].threshold:.4g}", columns, lines)


def _curve(curve: curves.PlotCurve, style: str, tip: str) -> list[Mark]:
    chosen = evenly_spaced(curve.x, curve.y, 24)[1:]
    points = [(float(curve.x[i]), float(curve.y[i])) for i in chosen]
    tips = [tip.format(x=curve.x[i], y=curve.y[i], t=curve.thresholds[i]) for i in chosen]
    return [Line(downsampled(curve.x, curve.y), style), Dots(points, _hovering(style), tips)]


def _hovering(style: str) -> str:
    return f"{style.split(maxsplit=1)[0]} hover"
