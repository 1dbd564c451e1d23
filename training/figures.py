"""The report's figures, each as one inline SVG that reads on light and on dark."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve, roc_curve

from training.evaluation import Floats, Labels
from training.search.trial import Trial

INK, LINE, FAINT = "#7a828e", "#2f7ed8", "#a9b1bb"
STYLE: Any = {
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "report",  # the same figure twice is the same text
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


class Drawing:
    """A figure under way; `svg` is filled when it is done."""

    def __init__(self, axes: Axes) -> None:
        self.axes = axes
        self.svg = ""


@contextmanager
def _drawing(x: str, y: str) -> Iterator[Drawing]:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.2, 3), layout="constrained")
        drawing = Drawing(figure.subplots())
        yield drawing
        drawing.axes.set(xlabel=x, ylabel=y)
        text = StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    drawing.svg = text.getvalue()[text.getvalue().index("<svg") :]


def search_history(trials: Sequence[Trial], metric: str) -> str:
    """Each trial's metric in the order they ran, and the best so far."""
    with _drawing("trial", metric) as drawing:
        families = sorted({trial.candidate.family for trial in trials})
        for family, marker in zip(families, "os^Dvph*", strict=False):
            ran = [trial for trial in trials if trial.candidate.family == family and trial.error is None]
            values = [trial.metrics[metric] for trial in ran]
            drawing.axes.plot([trial.number for trial in ran], values, marker, ms=4, alpha=0.8, label=family)
        losses = np.minimum.accumulate([trial.loss(metric) for trial in trials])
        places = [int(np.argmax([trial.loss(metric) == loss for trial in trials])) for loss in losses]
        best = [trials[place].metrics.get(metric, np.nan) for place in places]
        drawing.axes.step(
            [trial.number for trial in trials], best, where="post", color=INK, lw=1, label="best so far"
        )
        drawing.axes.legend(frameon=False)
    return drawing.svg


def roc(labels: Labels, probabilities: Floats) -> str:
    """The share of positives found against the share of negatives taken for positive."""
    false_positive, true_positive, _ = roc_curve(labels, probabilities)
    with _drawing("false positive rate", "true positive rate") as drawing:
        drawing.axes.plot([0, 1], [0, 1], color=FAINT, lw=1, ls="--")
        drawing.axes.plot(false_positive, true_positive, color=LINE)
    return drawing.svg


def precision_recall(labels: Labels, probabilities: Floats) -> str:
    """Precision against recall; the dashed line is the share of positives."""
    precision, recall, _ = precision_recall_curve(labels, probabilities)
    with _drawing("recall", "precision") as drawing:
        drawing.axes.axhline(float(labels.mean()), color=FAINT, lw=1, ls="--")
        drawing.axes.plot(recall, precision, color=LINE)
        drawing.axes.set_ylim(0, 1.02)
    return drawing.svg


def calibration(labels: Labels, probabilities: Floats) -> str:
    """How often what was said to be likely came true, in tenths of the rows."""
    true, said = calibration_curve(labels, probabilities, n_bins=10, strategy="quantile")
    with _drawing("predicted probability", "observed share") as drawing:
        drawing.axes.plot([0, 1], [0, 1], color=FAINT, lw=1, ls="--")
        drawing.axes.plot(said, true, "o-", color=LINE, ms=4)
    return drawing.svg
