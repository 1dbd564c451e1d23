"""Performance from counts of predictions by label: measured where labels are known, estimated where they are not."""

from dataclasses import dataclass

import numpy as np
from sklearn.isotonic import IsotonicRegression

from lakehouse.arrays import Floats
from training.evaluation.metrics import METRICS
from training.evaluation.weighted_metrics import ScoredRows, weighted_metric
from training.population.bins import NumberBins
from training.population.population import MOMENTS, Population

DRAWS, Z = 400, 1.959963984540054
MOMENT_METRICS = ("mae", "mse", "rmse")


@dataclass(frozen=True)
class Measured:
    """A metric on some rows.

    Attributes:
        metric: its name.
        value, error: value and standard error; NaN where the rows do not define it.
        rows: number of rows.
        estimated: True if no label was known.
    """

    metric: str
    value: float
    error: float
    rows: int
    estimated: bool = False

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval."""
        low, high = METRICS[self.metric].bounds
        return max(low, self.value - Z * self.error), min(high, self.value + Z * self.error)


def metric_of(population: Population, wanted: str) -> str:
    """The metric to watch: the wanted one, or the nearest that counts can give."""
    if not population.classes:
        return wanted if wanted in MOMENT_METRICS else "mae"
    if _has_scores(population) or METRICS[wanted].decides:
        return wanted
    return "accuracy"  # of labels alone


def measured(population: Population, metric: str, outcomes: Floats, *, estimated: bool = False) -> Measured:
    """The metric of counts in the form of `population.outcomes`.

    The error is that of resampled rows; for numbers it follows from the moments of the errors.
    """
    if not population.classes:
        return _of_moments(metric, outcomes)
    rows = _pseudo_rows(population)
    value_of, cells = weighted_metric(metric, rows), outcomes.ravel()
    total = cells.sum()
    if total < 1:
        return Measured(metric, float("nan"), float("nan"), 0, estimated)
    # A fixed seed: the same rows have the same interval on every run.
    draws = np.random.default_rng(0).multinomial(round(float(total)), cells / total, size=DRAWS)
    resampled = np.asarray(value_of(draws), dtype=np.float64)
    counts = (
        cells.astype(np.int64) if np.array_equal(cells, np.round(cells)) else np.round(cells * 1000).astype(np.int64)
    )
    value = float(value_of(counts))
    defined = resampled[np.isfinite(resampled)]
    error = float(defined.std()) if len(defined) > DRAWS / 2 else float("nan")
    return Measured(metric, value, error, int(total), estimated)


def estimate(population: Population, metric: str, predictions: Floats) -> Measured | None:
    """The metric that unlabelled predictions would have if labels followed predictions as on the holdout (CBPE).

    Good under a shift of the inputs. Blind to a change of the labels themselves: nobody should act on it.

    Args:
        predictions: (bins,) counts of the predictions.

    Returns:
        None for numbers, or if the holdout had no labels.
    """
    if not population.classes or not population.outcomes.sum() or not predictions.sum():
        return None
    return measured(population, metric, predictions * _label_shares(population), estimated=True)


def _label_shares(population: Population) -> Floats:
    """(classes, bins) share of each label at each bin of the prediction, on the holdout; monotone for scores."""
    outcomes = population.outcomes
    per_bin = outcomes.sum(axis=0)
    prior = outcomes.sum(axis=1, keepdims=True) / outcomes.sum()
    if _has_scores(population):
        used = per_bin > 0
        shares = outcomes[1] / np.maximum(per_bin, 1)
        fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(
            np.flatnonzero(used), shares[used], sample_weight=per_bin[used]
        )
        positive = np.asarray(fitted.predict(np.arange(len(per_bin))), dtype=np.float64)
        return np.stack([1 - positive, positive])
    return np.asarray(np.where(per_bin > 0, outcomes / np.maximum(per_bin, 1), prior), dtype=np.float64)


def _has_scores(population: Population) -> bool:
    return population.prediction is not None and isinstance(population.prediction.bins, NumberBins)


def _pseudo_rows(population: Population) -> ScoredRows:
    """A row for each label and bin, in the order of `outcomes.ravel()`."""
    classes = len(population.classes)
    assert population.prediction is not None  # noqa: S101  (its outcomes are counted by its bins)
    bins = population.prediction.bins
    labels = np.repeat(np.arange(classes), bins.size)
    if isinstance(bins, NumberBins):
        return ScoredRows(labels, np.tile(np.asarray(bins.centres), classes), population.threshold)
    decided = np.tile(np.arange(bins.size), classes)
    one_hot = (decided[:, None] == np.arange(classes)).astype(np.float64)
    return ScoredRows(labels, one_hot if classes > 2 else one_hot[:, 1], 0.5)


def _of_moments(metric: str, sums: Floats) -> Measured:
    rows, absolute, squares, fourth = (float(value) for value in sums) if len(sums) == len(MOMENTS) else (0.0,) * 4
    if rows < 1:
        return Measured(metric, float("nan"), float("nan"), 0)
    mae, mse = absolute / rows, squares / rows
    error_of_mse = np.sqrt(max(0.0, fourth / rows - mse**2) / rows)
    rmse = float(np.sqrt(mse))
    values = {
        "mae": (mae, np.sqrt(max(0.0, mse - mae**2) / rows)),
        "mse": (mse, error_of_mse),
        "rmse": (rmse, error_of_mse / (2 * rmse) if rmse else 0.0),
    }
    value, error = values[metric]
    return Measured(metric, float(value), float(error), int(rows))
