"""The sections of regression and multiclass: their numbers are those of scikit-learn and numpy on the same rows."""

from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score, mean_absolute_error, roc_auc_score

from tests.unit.report.pages import Grid, Page
from training.evaluation.curves import calibration_error
from training.evaluation.weighted_metrics import ScoredRows
from training.report.charts.scatter import MOST_POINTS, quantiles_along, sampled
from training.report.page import Block, Section, render
from training.report.sections import multiclass, regression
from training.report.tasks import TASKS

NAMES = ("red", "white", "rosé")
RANDOM = np.random.default_rng(2)
CLASSES = RANDOM.integers(0, 3, 600)
LOGITS = RANDOM.normal(size=(600, 3)) + 1.5 * np.eye(3)[CLASSES]
TOLD = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
AMOUNTS = RANDOM.gamma(2, 50, 3000)
PREDICTED = AMOUNTS * 0.8 + RANDOM.normal(10, 20, 3000)


def both(labels: np.ndarray, told: np.ndarray) -> dict[str, ScoredRows]:
    half = len(labels) // 2
    rows = ScoredRows(labels, told, 0.5)
    return {"validation folds": rows.take(np.arange(half)), "holdout": rows.take(np.arange(half, len(labels)))}


def read(blocks: Sequence[Block]) -> tuple[str, Page]:
    page = render("t", "l", (), [Section("s", "s", blocks)])
    return page, Page(page)


def table(blocks: Sequence[Block], start: str) -> Grid:
    return read(blocks)[1].table(start)


def test_confusion_and_class_metrics_are_those_of_the_rows() -> None:
    parts = both(CLASSES, TOLD)
    shown = multiclass.drawn(parts, NAMES)
    for name, rows in parts.items():
        decided = rows.predicted.argmax(axis=1)
        cells = table(shown, f"Confusion, {name}").rows
        expected = confusion_matrix(rows.labels, decided)
        assert [[int(value) for value in row[1:4]] for row in cells] == expected.tolist()
        classes = table(shown, f"Classes, {name}")
        assert [row[0] for row in classes.rows] == [row[0] for row in cells] == [*NAMES]
        f1 = [float(row[4]) for row in classes.rows]
        assert f1 == pytest.approx(f1_score(rows.labels, decided, average=None))
        auc = [roc_auc_score(rows.labels == place, rows.predicted[:, place]) for place in range(3)]
        assert [float(row[5]) for row in classes.rows] == pytest.approx(auc)


def test_a_class_without_rows_has_a_line_and_no_area() -> None:
    rows = ScoredRows(np.zeros(20, dtype=np.int64), TOLD[:20], 0.5)
    classes = table(multiclass.drawn({"validation folds": rows, "holdout": rows}, NAMES), "Classes, holdout")
    assert [row[5] for row in classes.rows] == ["", "", ""]
    assert [row[1] for row in classes.rows] == ["20", "0", "0"]


def test_errors_are_prediction_less_outcome() -> None:
    parts = both(AMOUNTS, PREDICTED)
    page, shown = read(regression.drawn(parts))
    lines = {row[0]: [float(value) for value in row[1:]] for row in shown.table("Errors").rows}
    for name, rows in parts.items():
        error = rows.predicted - rows.labels
        assert lines[name][:2] == [len(rows), pytest.approx(error.mean())]
        assert lines[name][2] == pytest.approx(mean_absolute_error(rows.labels, rows.predicted))
        assert lines[name][3:] == pytest.approx(np.quantile(error, regression.SHARES))
    assert page.count("<figure") == 4
    assert shown.undescribed == 0


def test_constant_predictions_are_drawn() -> None:
    flat = ScoredRows(AMOUNTS, np.full(len(AMOUNTS), 100.0), 0.5)
    page, _ = read(regression.drawn({"validation folds": flat, "holdout": flat}))
    assert "nan" not in page


def test_samples_are_bounded_and_the_same_each_time() -> None:
    assert sampled(10).tolist() == list(range(10))
    assert len(sampled(100_000)) == MOST_POINTS
    assert sampled(100_000).tolist() == sampled(100_000).tolist()


def test_quantiles_along_follow_the_axis() -> None:
    x = np.arange(1000.0)
    middles, bands = quantiles_along(x, x**2, (0.0, 1.0))
    assert np.all(np.diff(middles) > 0)
    assert np.all(bands[1:, 0] > bands[:-1, 1])
    assert len(quantiles_along(x[:3], x[:3], (0.5,))[0]) == 3


def test_a_calibration_error_is_none_where_what_was_told_came_true() -> None:
    told = np.repeat([0.25, 0.75], 400)
    labels = np.concatenate([np.arange(400) % 4 == 0, np.arange(400) % 4 != 0]).astype(np.int64)
    assert calibration_error(ScoredRows(labels, told, 0.5)) == pytest.approx(0)
    assert calibration_error(ScoredRows(1 - labels, told, 0.5)) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("task", "labels", "rarest"),
    [
        ("binary", [0, 0, 1], 1),
        ("binary", [1, 1], 0),
        ("multiclass", [0, 1, 2, 2, 1, 0], 2),
        ("regression", [0.5, 1.5], 2),
    ],
)
def test_the_rarest_label_counts_where_there_are_labels(task: str, labels: list[float], rarest: int) -> None:
    assert TASKS[task].rarest(np.asarray(labels)) == rarest


def test_what_is_explained_is_one_column_of_numbers_and_binary_and_one_for_each_class() -> None:
    assert TASKS["binary"].explained(np.array([0.5, 1.0])) == pytest.approx(
        np.array([[0], [np.log(1e6 - 1)]]), rel=1e-4
    )
    assert TASKS["multiclass"].explained(TOLD).shape == TOLD.shape
    assert TASKS["regression"].explained(PREDICTED).tolist() == [[value] for value in PREDICTED]
