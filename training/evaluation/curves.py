"""Points of ROC, precision-recall, reliability and threshold curves."""

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import precision_recall_curve, roc_curve

from lakehouse.arrays import Floats
from training.evaluation.weighted_metrics import ScoredRows

BINS = 10


@dataclass(frozen=True)
class PlotCurve:
    """Points of a curve, each with its decision threshold."""

    x: Floats
    y: Floats
    thresholds: Floats


@dataclass(frozen=True)
class Bin:
    """Rows of similar predictions: their number, mean prediction and observed share of label 1."""

    rows: int
    predicted: float
    observed: float

    def bounds(self) -> tuple[float, float]:
        """The 95 % interval of the observed share (Wilson, 1927)."""
        n, p, z = self.rows, self.observed, 1.96
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * float(np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)))
        return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True)
class Decisions:
    """Metrics of the decisions at each threshold: (thresholds,) each; `flagged` is the share decided 1."""

    thresholds: Floats
    precision: Floats
    recall: Floats
    f1: Floats
    flagged: Floats


def roc(rows: ScoredRows) -> PlotCurve:
    """True against false positive rate."""
    false_positive, true_positive, thresholds = roc_curve(rows.labels, rows.predicted)
    return PlotCurve(false_positive, true_positive, thresholds)


def precision_recall(rows: ScoredRows) -> PlotCurve:
    """Precision against recall, from the highest threshold on."""
    precision, recall, thresholds = precision_recall_curve(rows.labels, rows.predicted)
    # The last point is the conventional end at recall 0, which no threshold reaches.
    return PlotCurve(recall[-2::-1], precision[-2::-1], thresholds[::-1])


def reliability(rows: ScoredRows) -> list[Bin]:
    """About `BINS` bins of equal row counts, ascending by prediction; equal predictions share a bin."""
    edges = np.unique(np.quantile(rows.predicted, np.linspace(0, 1, BINS + 1)[1:-1]))
    indices = np.searchsorted(edges, rows.predicted, side="left")
    return [
        Bin(int(inside.sum()), float(rows.predicted[inside].mean()), float(rows.labels[inside].mean()))
        for inside in (indices == index for index in np.unique(indices))
    ]


def calibration_error(rows: ScoredRows) -> float:
    """Expected calibration error: the mean gap of the bins, weighted by rows (Naeini et al., 2015)."""
    bins = reliability(rows)
    return sum(bin.rows * abs(bin.predicted - bin.observed) for bin in bins) / len(rows)


def decisions(rows: ScoredRows, points: int = 120) -> Decisions:
    """Precision, recall, F1 and the share of rows decided 1, by threshold."""
    # Quantiles are sparse where rows are few; even steps fill these gaps.
    quantiles = np.quantile(rows.predicted, np.linspace(0, 0.999, points // 2))
    thresholds = np.unique([*quantiles, *np.linspace(quantiles[0], quantiles[-1], points // 2)])
    order = np.sort(rows.predicted)
    positive = np.sort(rows.predicted[rows.labels == 1])
    flagged = len(order) - np.searchsorted(order, thresholds, side="left")
    hits = len(positive) - np.searchsorted(positive, thresholds, side="left")
    precision, recall = hits / np.maximum(flagged, 1), hits / max(len(positive), 1)
    f1 = 2 * hits / (flagged + len(positive))
    return Decisions(thresholds, precision, recall, f1, flagged / len(order))


def confusion(rows: ScoredRows) -> Floats:
    """(2, 2) rows by label and decision, 0 before 1."""
    decided = (rows.predicted >= rows.threshold).astype(np.int64)
    cells = np.bincount(2 * rows.labels.astype(np.int64) + decided, minlength=4)
    return cells.reshape(2, 2).astype(np.float64)
