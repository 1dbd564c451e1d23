"""Which class is taken for which, and how good each one is."""

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup
from sklearn.metrics import average_precision_score, precision_recall_fscore_support, roc_auc_score

from lakehouse.arrays import Floats
from training.evaluation import curves
from training.evaluation.weighted_metrics import ScoredRows
from training.report.charts.drawing import Axis, Dots, Line, Mark, chart
from training.report.evidence import Evidence
from training.report.page import Block, Cell, Column, Figure, Figures, LegendEntry, Table, Words, number, words
from training.report.wording import HOLDOUT, VALIDATION

PartRows = Mapping[str, ScoredRows]
STYLES = {VALIDATION: "s1", HOLDOUT: "s2 dashed"}


def blocks(evidence: Evidence) -> Sequence[Block]:
    """Confusion, the metrics of each class, and how sure the version may be."""
    return drawn(
        {VALIDATION: evidence.validation, HOLDOUT: evidence.holdout},
        [str(each) for each in evidence.use_case.classes],
    )


def drawn(parts: PartRows, called: Sequence[str]) -> Sequence[Block]:
    """The same of any rows; labels are the places of the classes, which `called` names."""
    told = Words("Each row is taken for its most probable class. Validation: rows that the model had not seen.")
    tables = [
        table
        for name, rows in parts.items()
        for table in (_confusion(name, rows, called), _classes(name, rows, called))
    ]
    return (told, *tables, Figures((_confidence(parts),)))


def _confusion(name: str, rows: ScoredRows, called: Sequence[str]) -> Table:
    classes = rows.predicted.shape[1]
    decided = rows.predicted.argmax(axis=1)
    cells = np.bincount(classes * rows.labels.astype(np.int64) + decided, minlength=classes**2)
    cells = cells.reshape(classes, classes)
    shares = cells / np.maximum(cells.sum(axis=1, keepdims=True), 1)
    columns = (Column("Is", "words"), *(Column(f"taken for {each}") for each in called), Column("Rows"))
    lines = [
        (
            words(called[place]),
            *(_shaded(int(count), float(share)) for count, share in zip(cells[place], shares[place], strict=True)),
            number(int(cells[place].sum()), ",d"),
        )
        for place in range(classes)
    ]
    return Table(f"Confusion, {name}: the darker a cell, the more of its row", columns, lines)


def _shaded(count: int, share: float) -> Cell:
    shown = Markup('<span class="shade" style="--share:{:.0f}%" title="{:.1%} of the row">{:,d}</span>')
    return Cell(shown.format(100 * share, share, count), count, "number")


def _classes(name: str, rows: ScoredRows, called: Sequence[str]) -> Table:
    classes = np.arange(rows.predicted.shape[1])
    decided = rows.predicted.argmax(axis=1)
    found = precision_recall_fscore_support(rows.labels, decided, labels=classes, zero_division=0)
    precision, recall, f1, support = found
    columns = ("Class", "Rows", "Precision", "Recall", "F1", "ROC AUC against the rest", "Average precision")
    lines = [
        (
            words(called[int(place)]),
            number(int(support[place]), ",d"),
            *(number(float(values[place])) for values in (precision, recall, f1)),
            *(number(value) for value in _against_the_rest(rows.labels == place, rows.predicted[:, place])),
        )
        for place in classes
    ]
    heads = (Column(columns[0], "words"), *(Column(title) for title in columns[1:]))
    return Table(f"Classes, {name}", heads, lines)


def _against_the_rest(inside: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], told: Floats) -> tuple[float, float]:
    if inside.all() or not inside.any():
        return float("nan"), float("nan")
    return float(roc_auc_score(inside, told)), float(average_precision_score(inside, told))


def _confidence(parts: PartRows) -> Figure:
    """How often the most probable class is right, by its probability: as a binary outcome of each row."""
    sure = {
        name: ScoredRows(
            (rows.predicted.argmax(axis=1) == rows.labels).astype(np.int64), rows.predicted.max(axis=1), 0.5
        )
        for name, rows in parts.items()
    }
    marks: list[Mark] = [Line([(0, 0), (1, 1)], "reference")]
    for name, rows in sure.items():
        bins = curves.reliability(rows)
        points = [(each.said, each.true) for each in bins]
        tips = [f"{name}: {each.rows:,} rows were told {each.said:.3f}; {each.true:.3f} were right" for each in bins]
        marks += [Line(points, STYLES[name]), Dots(points, STYLES[name].split(maxsplit=1)[0], tips)]
    errors = ", ".join(f"{name} {curves.calibration_error(rows):.4f}" for name, rows in sure.items())
    return Figure(
        "Calibration of the class that is told",
        chart(
            Axis("probability of the class", 0, 1),
            Axis("share that was right", 0, 1),
            marks,
            f"Reliability: {errors}.",
        ),
        f"Expected calibration error: {errors}.",
        tuple(LegendEntry(name, style) for name, style in STYLES.items()),
    )
