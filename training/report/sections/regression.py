"""Errors of a regression: scatter plots, distributions and quantiles."""

from collections.abc import Sequence

import numpy as np

from lakehouse.arrays import Floats
from training.evaluation.weighted_metrics import RowSets, ScoredRows
from training.report.charts.drawing import Area, Axis, Bars, Dots, Line, Mark, chart, span, vertical
from training.report.charts.scatter import quantiles_along, sampled
from training.report.evidence import Evidence
from training.report.page import Block, Column, Figure, Figures, LegendEntry, Paragraph, Table, number_cell, text_cell
from training.report.wording import HOLDOUT, VALIDATION

SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
STYLES = {VALIDATION: "s1", HOLDOUT: "s2"}
BARS = 40


def blocks(evidence: Evidence) -> Sequence[Block]:
    """Labels against predictions, residuals, and the distribution of errors."""
    return error_blocks({VALIDATION: evidence.validation, HOLDOUT: evidence.holdout})


def error_blocks(row_sets: RowSets) -> Sequence[Block]:
    """The same blocks for any rows."""
    explanation = Paragraph(
        "The error is the prediction minus the label; predictions with a positive error are too high. Scatter plots "
        "show a sample of the validation folds, each row predicted by a model that was not fitted on it. Bands are "
        "quantiles of all these rows."
    )
    figures = (
        _predicted_and_observed(row_sets[VALIDATION]),
        _residuals(row_sets[VALIDATION]),
        *(_histogram(name, rows) for name, rows in row_sets.items()),
    )
    return (explanation, Figures(figures), _errors(row_sets))


def _error(rows: ScoredRows) -> Floats:
    return np.asarray(rows.predicted - rows.labels, dtype=np.float64)


def _predicted_and_observed(rows: ScoredRows) -> Figure:
    chosen = rows.take(sampled(len(rows)))
    low, high = span([*chosen.predicted.tolist(), *chosen.labels.tolist()])
    points = list(zip(chosen.predicted.tolist(), chosen.labels.astype(np.float64).tolist(), strict=True))
    tips = [f"predicted {x:,.4g}, label {y:,.4g}" for x, y in points]
    marks: list[Mark] = [Dots(points, "s1 soft", tips, size=2), Line([(low, low), (high, high)], "reference")]
    drawing = chart(Axis("predicted", low, high), Axis("label", low, high), marks, "Labels against predictions.")
    return Figure(
        "Predictions and labels",
        drawing,
        f"{len(chosen)} of {len(rows):,} rows of the {VALIDATION}. On the dashed line, they are equal.",
    )


def _residuals(rows: ScoredRows) -> Figure:
    error, chosen = _error(rows), sampled(len(rows))
    centres, bands = quantiles_along(rows.predicted, error, SHARES)
    points = list(zip(rows.predicted[chosen].tolist(), error[chosen].tolist(), strict=True))
    low, high = span(rows.predicted[chosen].tolist())
    marks: list[Mark] = [
        Dots(points, "s6 faint", [f"predicted {x:,.4g}, error {y:+,.4g}" for x, y in points], size=2)
    ]
    for first, last in ((0, -1), (1, -2)):
        marks.append(Area(_points(centres, bands[:, first]), _points(centres, bands[:, last]), "s1"))
    marks += [Line(_points(centres, bands[:, 2]), "s1"), Line([(low, 0), (high, 0)], "reference")]
    y = Axis("error", *span([*error[chosen].tolist(), *bands[:, 0].tolist(), *bands[:, -1].tolist()]))
    return Figure(
        "Errors by prediction",
        chart(Axis("predicted", low, high), y, marks, "Errors against predictions, with their quantiles."),
        "The line is the median error; the bands contain 50 % and 90 % of the rows. A median off zero is a bias. "
        "Widening bands are errors that grow with the prediction.",
        (LegendEntry("median", "s1"), LegendEntry("50 % and 90 %", "s1 band", "area")),
    )


def _histogram(name: str, rows: ScoredRows) -> Figure:
    error = _error(rows)
    edges = np.linspace(*span(np.quantile(error, [0.005, 0.995]).tolist()), BARS + 1)
    shares = np.histogram(error.clip(edges[0], edges[-1]), edges)[0] / len(error)
    bars = list(zip(edges[:-1].tolist(), edges[1:].tolist(), shares.tolist(), strict=True))
    tips = [f"{share:.1%} of rows have an error of {low:+,.4g} to {high:+,.4g}" for low, high, share in bars]
    y = Axis("share of rows", 0, float(shares.max()) * 1.05)
    marks: list[Mark] = [Bars(bars, f"{STYLES[name]} soft", tips), vertical(0.0, y, "best")]
    return Figure(
        f"Errors, {name}",
        chart(Axis("error", float(edges[0]), float(edges[-1])), y, marks, f"Histogram of errors, {name}."),
        f"Mean {error.mean():+,.4g}, median {np.median(error):+,.4g}. The outer bars include all larger errors.",
    )


def _errors(row_sets: RowSets) -> Table:
    columns = [Column("Data", "text"), Column("Rows"), Column("Mean error"), Column("Mean absolute error")]
    columns += [Column(f"{share:.0%} quantile") for share in SHARES]
    lines = []
    for name, rows in row_sets.items():
        error = _error(rows)
        quantiles = np.quantile(error, SHARES).tolist()
        numbers = [float(error.mean()), float(np.abs(error).mean()), *quantiles]
        lines.append(
            (text_cell(name), number_cell(len(rows), ",d"), *(number_cell(each, ",.4g") for each in numbers))
        )
    return Table("Errors: prediction minus label", columns, lines)


def _points(x: Floats, y: Floats) -> list[tuple[float, float]]:
    return list(zip(x.tolist(), y.tolist(), strict=True))
