"""Curves of a binary task, and its decisions at the threshold."""

from collections.abc import Mapping, Sequence

import numpy as np

from training.evaluation import curves
from training.evaluation.weighted_metrics import ScoredRows
from training.report.charts.drawing import Area, Axis, Bars, Dots, Line, Mark, chart, spaced, thinned, upright
from training.report.evidence import Evidence
from training.report.page import Block, Column, Figure, Figures, LegendEntry, Table, Words, number, words
from training.report.wording import HOLDOUT, VALIDATION

STYLES = {VALIDATION: "s1", HOLDOUT: "s2 dashed"}
KEYS = tuple(LegendEntry(name, style) for name, style in STYLES.items())
PartRows = Mapping[str, ScoredRows]


def blocks(evidence: Evidence) -> Sequence[Block]:
    """ROC, precision and recall, calibration, thresholds and confusion."""
    parts = {VALIDATION: evidence.validation, HOLDOUT: evidence.holdout}
    threshold = evidence.scorer.answering.threshold
    return (
        Words(
            "Blue: all rows of the validation folds together, each scored by a model that had not seen it; thin "
            "lines are single folds. Orange, dashed: the holdout."
        ),
        Figures(
            (
                _roc(evidence, parts),
                _precision_recall(evidence, parts),
                _calibration(parts),
                _said(parts, threshold),
                _thresholds(evidence.validation),
            )
        ),
        _confusion(parts),
    )


def _roc(evidence: Evidence, parts: PartRows) -> Figure:
    marks: list[Mark] = [Line([(0, 0), (1, 1)], "reference")]
    for tried in evidence.tried:
        curve = curves.roc(tried.outcomes)
        marks.append(Line(thinned(curve.x, curve.y, 80), "s1 thin"))
    for name, rows in parts.items():
        curve = curves.roc(rows)
        marks += _curve(
            curve,
            STYLES[name],
            f"{name}: at {{t:.3f}} or more, {{y:.1%}} of the 1s are found and {{x:.1%}} of the 0s taken for 1",
        )
    areas = ", ".join(f"{name} {rows.metric('roc_auc'):.4f}" for name, rows in parts.items())
    return Figure(
        "ROC",
        chart(
            Axis("false positive rate", 0, 1), Axis("true positive rate", 0, 1), marks, f"ROC curves. Areas: {areas}."
        ),
        f"Area, all rows together: {areas}. Rows of several folds in one curve are compared across models; the mean "
        "of the folds, by which trials are ranked, is not.",
        KEYS,
    )


def _precision_recall(evidence: Evidence, parts: PartRows) -> Figure:
    marks: list[Mark] = []
    for tried in evidence.tried:
        curve = curves.precision_recall(tried.outcomes)
        marks.append(Line(thinned(curve.x, curve.y, 80), "s1 thin"))
    for name, rows in parts.items():
        share = float(rows.labels.mean())
        marks.append(Line([(0, share), (1, share)], "reference"))
        marks += _curve(
            curves.precision_recall(rows),
            STYLES[name],
            f"{name}: at {{t:.3f}} or more, precision {{y:.1%}}, recall {{x:.1%}}",
        )
    areas = ", ".join(f"{name} {rows.metric('average_precision'):.4f}" for name, rows in parts.items())
    return Figure(
        "Precision and recall",
        chart(
            Axis("recall", 0, 1),
            Axis("precision", 0, 1),
            marks,
            f"Precision against recall. Average precision: {areas}.",
        ),
        f"Average precision: {areas}. The dashed level lines are the shares of label 1, which guessing reaches.",
        KEYS,
    )


def _calibration(parts: PartRows) -> Figure:
    bins = {name: curves.reliability(rows) for name, rows in parts.items()}
    top = min(1.0, 1.08 * max(max(bin.said, bin.bounds()[1]) for found in bins.values() for bin in found))
    marks: list[Mark] = [Line([(0, 0), (top, top)], "reference")]
    for name, found in bins.items():
        style = STYLES[name]
        bounds = [bin.bounds() for bin in found]
        marks.append(
            Area(
                [(bin.said, low) for bin, (low, _) in zip(found, bounds, strict=True)],
                [(bin.said, high) for bin, (_, high) in zip(found, bounds, strict=True)],
                style,
            )
        )
        points = [(bin.said, bin.true) for bin in found]
        tips = [f"{name}: {bin.rows:,} rows were told {bin.said:.3f}; {bin.true:.3f} came true" for bin in found]
        marks += [Line(points, style), Dots(points, style.split()[0], tips)]
    errors = ", ".join(f"{name} {curves.calibration_error(rows):.4f}" for name, rows in parts.items())
    counts = ", ".join(
        f"{name} {len(found)} bins of about {np.median([bin.rows for bin in found]):,.0f} rows"
        for name, found in bins.items()
    )
    return Figure(
        "Calibration",
        chart(
            Axis("mean predicted probability", 0, top),
            Axis("share that came true", 0, top),
            marks,
            f"Reliability. Expected calibration error: {errors}.",
        ),
        f"Expected calibration error: {errors} ({counts}; bands are 95 % intervals). On the dashed line, what was "
        "told is what came true.",
        KEYS,
    )


def _said(parts: PartRows, threshold: float) -> Figure:
    rows = parts[VALIDATION]
    top = max(float(np.quantile(rows.predicted, 0.999)), threshold * 1.1)
    edges = np.linspace(0, min(1.0, top), 31)
    marks: list[Mark] = []
    tallest = 0.0
    for label, style in ((0, "s6 soft"), (1, "s3 soft")):
        told = rows.predicted[rows.labels == label]
        shares = np.histogram(told.clip(0, edges[-1]), edges)[0] / max(len(told), 1)
        tallest = max(tallest, float(shares.max()))
        tips = [
            f"label {label}: {share:.1%} were told {low:.3f} to {high:.3f}"
            for share, low, high in zip(shares, edges, edges[1:], strict=False)
        ]
        marks.append(
            Bars(list(zip(edges[:-1].tolist(), edges[1:].tolist(), shares.tolist(), strict=True)), style, tips)
        )
    y = Axis("share of the label's rows", 0, tallest * 1.05)
    marks.append(upright(threshold, y, "best"))
    return Figure(
        "What each label is told",
        chart(
            Axis("predicted probability", 0, float(edges[-1])),
            y,
            marks,
            "Histogram of predicted probabilities by label.",
        ),
        f"Validation folds. Of each label, the share of rows by predicted probability; the upright line is the "
        f"threshold {threshold:g}. What lies beyond the right edge is in the last bar.",
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
    marks: list[Mark] = [upright(rows.threshold, y, "best")]
    for name, (style, values) in curves_drawn.items():
        marks.append(Line(thinned(found.thresholds, values, 100), style))
        marks.append(
            Dots(
                list(zip(found.thresholds[::6].tolist(), values[::6].tolist(), strict=True)),
                f"{style.split()[0]} hover",
                [
                    f"{name} {value:.3f} at {t:.3f}"
                    for value, t in zip(values[::6], found.thresholds[::6], strict=True)
                ],
            )
        )
    best = int(np.argmax(found.f1))
    return Figure(
        "The decision threshold",
        chart(x, y, marks, f"Precision, recall and F1 by threshold. The version decides at {rows.threshold:g}."),
        f"Validation folds. The version decides for 1 from {rows.threshold:g} on (upright line); F1 is highest, "
        f"{found.f1[best]:.4f}, at {found.thresholds[best]:.4f}.",
        tuple(LegendEntry(name, style) for name, (style, _) in curves_drawn.items()),
    )


def _confusion(parts: PartRows) -> Table:
    columns = (
        Column("Rows of", "words"),
        Column("Outcome", "words"),
        Column("Decided 0"),
        Column("Decided 1"),
        Column("Rows"),
        Column("Decided rightly"),
    )
    lines = []
    for name, rows in parts.items():
        for label, cells in enumerate(curves.confusion(rows)):
            total = cells.sum()
            counts = (number(count, ",.0f") for count in (*cells, total))
            lines.append((words(name), words(str(label)), *counts, number(cells[label] / total, ".1%")))
    return Table(f"Confusion at the threshold {parts[VALIDATION].threshold:g}", columns, lines)


def _curve(curve: curves.PlotCurve, style: str, tip: str) -> list[Mark]:
    chosen = spaced(curve.x, curve.y, 24)[1:]
    points = [(float(curve.x[i]), float(curve.y[i])) for i in chosen]
    tips = [tip.format(x=curve.x[i], y=curve.y[i], t=curve.thresholds[i]) for i in chosen]
    return [Line(thinned(curve.x, curve.y), style), Dots(points, _hovering(style), tips)]


def _hovering(style: str) -> str:
    return f"{style.split(maxsplit=1)[0]} hover"
