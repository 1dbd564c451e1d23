"""How far a regression is off, where and for whom."""

from collections.abc import Mapping, Sequence

import numpy as np

from lakehouse.arrays import Floats
from training.evaluation.weighted_metrics import ScoredRows
from training.report.charts.drawing import Area, Axis, Bars, Dots, Line, Mark, chart, span, upright
from training.report.charts.scatter import quantiles_along, sampled
from training.report.evidence import Evidence
from training.report.page import Block, Column, Figure, Figures, LegendEntry, Table, Words, number, words
from training.report.wording import HOLDOUT, VALIDATION

PartRows = Mapping[str, ScoredRows]
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
STYLES = {VALIDATION: "s1", HOLDOUT: "s2"}
BARS = 40


def blocks(evidence: Evidence) -> Sequence[Block]:
    """Predictions against outcomes, residuals, and the distribution of errors."""
    return drawn({VALIDATION: evidence.validation, HOLDOUT: evidence.holdout})


def drawn(parts: PartRows) -> Sequence[Block]:
    """The same of any rows."""
    told = Words(
        "An error is the prediction less the outcome: above zero, too much was told. Scatters show a sample of "
        "the validation folds, each row scored by a model that had not seen it; bands are of all of its rows."
    )
    figures = (_against(parts[VALIDATION]), _residuals(parts[VALIDATION]), *(_spread(n, r) for n, r in parts.items()))
    return (told, Figures(figures), _errors(parts))


def _error(rows: ScoredRows) -> Floats:
    return np.asarray(rows.predicted - rows.labels, dtype=np.float64)


def _against(rows: ScoredRows) -> Figure:
    chosen = rows.take(sampled(len(rows)))
    low, high = span([*chosen.predicted.tolist(), *chosen.labels.tolist()])
    points = list(zip(chosen.predicted.tolist(), chosen.labels.astype(np.float64).tolist(), strict=True))
    tips = [f"predicted {x:,.4g}, was {y:,.4g}" for x, y in points]
    marks: list[Mark] = [Dots(points, "s1 soft", tips, size=2), Line([(low, low), (high, high)], "reference")]
    drawing = chart(Axis("predicted", low, high), Axis("outcome", low, high), marks, "Outcomes against predictions.")
    return Figure(
        "Predicted and true",
        drawing,
        f"{len(chosen)} of {len(rows):,} rows of the {VALIDATION}. On the dashed line, the prediction came true.",
    )


def _residuals(rows: ScoredRows) -> Figure:
    error, chosen = _error(rows), sampled(len(rows))
    x, bands = quantiles_along(rows.predicted, error, SHARES)
    points = list(zip(rows.predicted[chosen].tolist(), error[chosen].tolist(), strict=True))
    low, high = span(rows.predicted[chosen].tolist())
    marks: list[Mark] = [
        Dots(points, "s6 faint", [f"predicted {a:,.4g}, off by {b:+,.4g}" for a, b in points], size=2)
    ]
    for first, last in ((0, -1), (1, -2)):
        marks.append(Area(_points(x, bands[:, first]), _points(x, bands[:, last]), "s1"))
    marks += [Line(_points(x, bands[:, 2]), "s1"), Line([(low, 0), (high, 0)], "reference")]
    y = Axis("error", *span([*error[chosen].tolist(), *bands[:, 0].tolist(), *bands[:, -1].tolist()]))
    return Figure(
        "Errors by prediction",
        chart(Axis("predicted", low, high), y, marks, "Errors against predictions, with their quantiles."),
        "The line is the median error, the bands hold half and nine tenths of the rows. A line off zero is a bias; "
        "bands that widen, an error that grows with the prediction.",
        (LegendEntry("median", "s1"), LegendEntry("50 % and 90 %", "s1 band", "area")),
    )


def _spread(name: str, rows: ScoredRows) -> Figure:
    error = _error(rows)
    edges = np.linspace(*span(np.quantile(error, [0.005, 0.995]).tolist()), BARS + 1)
    shares = np.histogram(error.clip(edges[0], edges[-1]), edges)[0] / len(error)
    bars = list(zip(edges[:-1].tolist(), edges[1:].tolist(), shares.tolist(), strict=True))
    tips = [f"{share:.1%} are off by {low:+,.4g} to {high:+,.4g}" for low, high, share in bars]
    y = Axis("share of rows", 0, float(shares.max()) * 1.05)
    marks: list[Mark] = [Bars(bars, f"{STYLES[name]} soft", tips), upright(0.0, y, "best")]
    return Figure(
        f"Errors, {name}",
        chart(Axis("error", float(edges[0]), float(edges[-1])), y, marks, f"Histogram of errors, {name}."),
        f"Mean {error.mean():+,.4g}, median {np.median(error):+,.4g}. What lies beyond is in the outer bars.",
    )


def _errors(parts: PartRows) -> Table:
    columns = [Column("Rows of", "words"), Column("Rows"), Column("Mean error"), Column("Mean absolute")]
    columns += [Column(f"{share:.0%} quantile") for share in SHARES]
    lines = []
    for name, rows in parts.items():
        error = _error(rows)
        quantiles = np.quantile(error, SHARES).tolist()
        numbers = [float(error.mean()), float(np.abs(error).mean()), *quantiles]
        lines.append((words(name), number(len(rows), ",d"), *(number(each, ",.4g") for each in numbers)))
    return Table("Errors: the prediction less the outcome", columns, lines)


def _points(x: Floats, y: Floats) -> list[tuple[float, float]]:
    return list(zip(x.tolist(), y.tolist(), strict=True))
