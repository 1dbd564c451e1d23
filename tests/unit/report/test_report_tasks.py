"""Sections of regression and multiclass: their numbers match scikit-learn and numpy on the same rows."""

from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score, mean_absolute_error, roc_auc_score

from scoring.tasks import TASKS
from tests.unit.report.pages import Grid, Page
from training.evaluation.curves import calibration_error
from training.evaluation.weighted_metrics import ScoredRows
from training.report.charts.scatter import MAX_POINTS, quantiles_along, sampled
from training.report.page import Block, Section, render
from training.report.sections import multiclass, regression

NAMES = ("red", "white", "rosé")
RANDOM = np.random.default_rng(2)
CLASSES = RANDOM.integers(0, 3, 600)
LOGITS = RANDOM.normal(size=(600, 3)) + 1.5 * np.eye(3)[CLASSES]
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
AMOUNTS = RANDOM.gamma(2, 50, 3000)
PREDICTED = AMOUNTS * 0.8 + RANDOM.normal(10, 20, 3000)


def both(labels: np.ndarray, predicted: np.ndarray) -> dict[str, ScoredRows]:
    half = len(labels) // 2
    rows = ScoredRows(labels, predicted, 0.5)
    return {"validation folds": rows.take(np.arange(half)), "holdout": rows.take(np.arange(half, len(labels)))}


def read(blocks: Sequence[Block]) -> tuple[str, Page]:
    page = render("t", (), [Section("s", "s", blocks)])
    return page, Page(page)


def table(blocks: Sequence[Block], start: str) -> Grid:
    return read(blocks)[1].table(start)


def test_confusion_and_class_metrics_match_scikit_learn() -> None:
    row_sets = both(CLASSES, PROBABILITIES)
    blocks = multiclass.class_blocks(row_sets, NAMES)
    for name, rows in row_sets.items():
        decided = rows.predicted.argmax(axis=1)
        cells = table(blocks, f"Confusion matrix, {name}").rows
        expected = confusion_matrix(rows.labels, decided)
        assert [[int(value) for value in row[1:4]] for row in cells] == expected.tolist()
        classes = table(blocks, f"Metrics by class, {name}")
        assert [row[0] for row in classes.rows] == [row[0] for row in cells] == [*NAMES]
        f1 = [float(row[4]) for row in classes.rows]
        assert f1 == pytest.approx(f1_score(rows.labels, decided, average=None))
        auc = [roc_auc_score(rows.labels == place, rows.predicted[:, place]) for place in range(3)]
        assert [float(row[5]) for row in classes.rows] == pytest.approx(auc)


def test_a_class_without_rows_has_no_metrics() -> None:
    rows = ScoredRows(np.zeros(20, dtype=np.int64), PROBABILITIES[:20], 0.5)
    classes = table(
        multiclass.class_blocks({"validation folds": rows, "holdout": rows}, NAMES), "Metrics by class, holdout"
    )
    assert [row[5] for row in classes.rows] == ["", "", ""]
    assert [row[2:] for row in classes.rows[1:]] == [[""] * 5] * 2, "a dash, and not 0.0000"
    assert float(classes.rows[0][3]) > 0
    assert [row[1] for row in classes.rows] == ["20", "0", "0"]


def test_errors_are_prediction_minus_label() -> None:
    row_sets = both(AMOUNTS, PREDICTED)
    page, shown = read(regression.error_blocks(row_sets))
    lines = {row[0]: [float(value) for value in row[1:]] for row in shown.table("Errors").rows}
    for name, rows in row_sets.items():
        error = rows.predicted - rows.labels
        assert lines[name][:2] == [len(rows), pytest.approx(error.mean())]
        assert lines[name][2] == pytest.approx(mean_absolute_error(rows.labels, rows.predicted))
        assert lines[name][3:] == pytest.approx(np.quantile(error, regression.SHARES))
    assert page.count("<figure") == 4
    assert shown.undescribed == 0


def test_constant_predictions_are_drawn() -> None:
    flat = ScoredRows(AMOUNTS, np.full(len(AMOUNTS), 100.0), 0.5)
    page, _ = read(regression.error_blocks({"validation folds": flat, "holdout": flat}))
    assert "nan" not in page


def test_samples_are_bounded_and_reproducible() -> None:
    assert sampled(10).tolist() == list(range(10))
    assert len(sampled(100_000)) == MAX_POINTS
    assert sampled(100_000).tolist() == sampled(100_000).tolist()


def test_quantiles_along_follow_the_axis() -> None:
    x = np.arange(1000.0)
    middles, bands = quantiles_along(x, x**2, (0.0, 1.0))
    assert np.all(np.diff(middles) > 0)
    assert np.all(bands[1:, 0] > bands[:-1, 1])
    assert len(quantiles_along(x[:3], x[:3], (0.5,))[0]) == 3


def test_calibration_error_of_true_probabilities_is_zero() -> None:
    predicted = np.repeat([0.25, 0.75], 400)
    labels = np.concatenate([np.arange(400) % 4 == 0, np.arange(400) % 4 != 0]).astype(np.int64)
    assert calibration_error(ScoredRows(labels, predicted, 0.5)) == pytest.approx(0)
    assert calibration_error(ScoredRows(1 - labels, predicted, 0.5)) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("task", "labels", "rarest"),
    [
        ("binary", [0, 0, 1], 1),
        ("binary", [1, 1], 0),
        ("multiclass", [0, 1, 2, 2, 1, 0], 2),
        ("regression", [0.5, 1.5], 2),
    ],
)
def test_rows_of_the_rarest_label(task: str, labels: list[float], rarest: int) -> None:
    assert TASKS[task].rarest(np.asarray(labels)) == rarest


def test_explained_outputs_by_task() -> None:
    assert TASKS["binary"].explained(np.array([0.5, 1.0])) == pytest.approx(
        np.array([[0], [np.log(1e6 - 1)]]), rel=1e-4
    )
    assert TASKS["multiclass"].explained(PROBABILITIES).shape == PROBABILITIES.shape
    assert TASKS["regression"].explained(PREDICTED).tolist() == [[value] for value in PREDICTED]
