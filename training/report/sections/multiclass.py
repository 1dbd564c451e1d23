"""Confusion, metrics and calibration of a multiclass task."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from sklearn.metrics import average_precision_score, precision_recall_fscore_support, roc_auc_score

from lakehouse.arrays import Floats
from training.evaluation import curves
from training.evaluation.weighted_metrics import RowSets, ScoredRows
from training.report.charts.drawing import Axis, Dots, Line, Mark, chart
from training.report.evidence import Evidence
from training.report.page import (
    Block,
    Cell,
    Column,
    Figure,
    Figures,
    LegendEntry,
    Paragraph,
    Table,
    number_cell,
    text_cell,
)
from training.report.wording import HOLDOUT, VALIDATION

STYLES = {VALIDATION: "s1", HOLDOUT: "s2 dashed"}


def blocks(evidence: Evidence) -> Sequence[Block]:
    """Confusion matrices, metrics of each class, and calibration of the most probable class."""
    return class_blocks(
        {VALIDATION: evidence.validation, HOLDOUT: evidence.holdout},
        [str(each) for each in evidence.use_case.classes],
    )


def class_blocks(row_sets: RowSets, class_names: Sequence[str]) -> Sequence[Block]:
    """The same blocks for any rows; labels are indices into `class_names`."""
    explanation = Paragraph(
        "The prediction is the most probable class. Validation rows are predicted by models that were not fitted on "
        "them."
    )
    tables = [
        table
        for name, rows in row_sets.items()
        for table in (_confusion(name, rows, class_names), _classes(name, rows, class_names))
    ]
    return (explanation, *tables, Figures((_confidence(row_sets),)))


def _confusion(name: str, rows: ScoredRows, class_names: Sequence[str]) -> Table:
    classes = rows.predicted.shape[1]
    decided = rows.predicted.argmax(axis=1)
    cells = np.bincount(classes * rows.labels.astype(np.int64) + decided, minlength=classes**2)
    cells = cells.reshape(classes, classes)
    shares = cells / np.maximum(cells.sum(axis=1, keepdims=True), 1)
    columns = (Column("Label", "text"), *(Column(f"predicted {each}") for each in class_names), Column("Rows"))
    lines = [
        (
            text_cell(class_names[index]),
            *(_shaded(int(count), float(share)) for count, share in zip(cells[index], shares[index], strict=True)),
            number_cell(int(cells[index].sum()), ",d"),
        )
        for index in range(classes)
    ]
    return Table(f"Confusion matrix, {name}: a darker cell holds a larger share of its row", columns, lines)


def _shaded(count: int, share: float) -> Cell:
    cell = Markup('<span class="shade" style="--share:{:.0f}%" title="{:.1%} of the row">{:,d}</span>')
    return Cell(cell.format(100 * share, share, count), count, "number")


def _classes(name: str, rows: ScoredRows, class_names: Sequence[str]) -> Table:
    classes = np.arange(rows.predicted.shape[1])
    decided = rows.predicted.argmax(axis=1)
    found = precision_recall_fscore_support(rows.labels, decided, labels=classes, zero_division=np.nan)
    *rates, support = found
    # Nothing is measured on no rows: of a class without rows even the F1 of its wrong decisions is no number.
    precision, recall, f1 = (np.where(support > 0, rate, np.nan) for rate in rates)
    columns = ("Class", "Rows", "Precision", "Recall", "F1", "ROC AUC, one vs rest", "Average precision")
    lines = [
        (
            text_cell(class_names[int(index)]),
            number_cell(int(support[index]), ",d"),
            *(number_cell(float(values[index])) for values in (precision, recall, f1)),
            *(number_cell(value) for value in _one_vs_rest(rows.labels == index, rows.predicted[:, index])),
        )
        for index in classes
    ]
    table_columns = (Column(columns[0], "text"), *(Column(title) for title in columns[1:]))
    return Table(f"Metrics by class, {name}", table_columns, lines)


def _one_vs_rest(inside: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], predicted: Floats) -> tuple[float, float]:
    if inside.all() or not inside.any():
        return float("nan"), float("nan")
    return float(roc_auc_score(inside, predicted)), float(average_precision_score(inside, predicted))


def _confidence(row_sets: RowSets) -> Figure:
    """Accuracy of the most probable class by its probability, as a binary label of each row."""
    confidence = {
        name: ScoredRows(
            (rows.predicted.argmax(axis=1) == rows.labels).astype(np.int64), rows.predicted.max(axis=1), 0.5
        )
        for name, rows in row_sets.items()
    }
    marks: list[Mark] = [Line([(0, 0), (1, 1)], "reference")]
    for name, rows in confidence.items():
        bins = curves.reliability(rows)
        points = [(each.predicted, each.observed) for each in bins]
        tips = [
            f"{name}: {each.rows:,} rows, predicted {each.predicted:.3f}, correct {each.observed:.3f}"
            for each in bins
        ]
        marks += [Line(points, STYLES[name]), Dots(points, STYLES[name].split(maxsplit=1)[0], tips)]
    errors = ", ".join(f"{name} {curves.calibration_error(rows):.4f}" for name, rows in confidence.items())
    return Figure(
        "Calibration of the predicted class",
        chart(
            Axis("probability of the predicted class", 0, 1),
            Axis("share of correct predictions", 0, 1),
            marks,
            f"Reliability: {errors}.",
        ),
        f"Expected calibration error: {errors}.",
        tuple(LegendEntry(name, style) for name, style in STYLES.items()),
    )
