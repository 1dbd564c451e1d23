"""Performance from counts of predictions by label: measured where labels are known, estimated where they are not."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.isotonic import IsotonicRegression

from lakehouse.arrays import Floats
from training.evaluation.metrics import METRICS
from training.evaluation.weighted_metrics import ScoredRows, weighted_metric
from training.population.bins import NumberBins
from training.population.forecast_losses import LOSS_SUMS
from training.population.population import MOMENTS, Population
from training.use_case.monitoring import parse_share

DRAWS, Z = 400, 1.959963984540054
MOMENT_METRICS = ("mae", "mse", "rmse")
DEFAULT_AMOUNT, DEFAULT_SHARE = 0.02, 0.1  # of a metric between two bounds, and of an error without an upper bound
SQUARES = frozenset({"mse"})  # an error that grows by 10 % is a square that grows by about 20 %


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


@dataclass(frozen=True)
class AcceptedLoss:
    """The accepted loss of a metric.

    Attributes:
        amount: in units of the metric, or a share of its value on the reference.
        is_share: True for a share.
    """

    amount: float
    is_share: bool = False

    @classmethod
    def of(cls, max_drop: float | str | None, watched: str, declared: str) -> "AcceptedLoss":
        """The declared loss, or the default of the watched metric.

        Args:
            max_drop: as declared; a number is in units of the declared metric.
            watched: metric that is computed from counts.
            declared: promotion metric, for which another one may be watched.

        >>> AcceptedLoss.of("5%", "mae", "r2"), AcceptedLoss.of(0.05, "mae", "r2")
        (AcceptedLoss(amount=0.05, is_share=True), AcceptedLoss(amount=0.1, is_share=True))
        """
        if isinstance(max_drop, str):
            return cls(parse_share(max_drop), is_share=True)
        if max_drop is not None and METRICS[watched].bounds == METRICS[declared].bounds:
            return cls(max_drop)
        if np.isfinite(METRICS[watched].bounds).all():
            return cls(DEFAULT_AMOUNT)
        return cls(DEFAULT_SHARE * (2 if watched in SQUARES else 1), is_share=True)

    def excess(self, reference: Measured, window: Measured) -> tuple[float, float]:
        """The loss of the window beyond the accepted one, with its standard error; NaN if one is not defined."""
        loss = METRICS[window.metric].gain(reference.value, over=window.value)
        accepted = self.amount * abs(reference.value) if self.is_share else self.amount
        # The accepted loss grows with an uncertain reference, so the worst accepted value is uncertain as well.
        share = self.amount if self.is_share else 0.0
        scale = 1 - share if METRICS[window.metric].greater_is_better else 1 + share
        error = float(np.hypot(scale * reference.error, window.error))
        return (loss - accepted, error) if np.isfinite(error) else (float("nan"), error)

    def __str__(self) -> str:
        """The loss in words, such as `0.02` or `10% of the value on the holdout`."""
        return f"{self.amount:.4g}" if not self.is_share else f"{self.amount * 100:.4g}% of the value on the holdout"


NO_LOSS = AcceptedLoss(0.0)


def metric_of(population: Population, wanted: str) -> str:
    """The metric to watch: the wanted one, or the nearest that counts can give."""
    if not population.classes:
        return wanted if wanted in MOMENT_METRICS or wanted in population.losses else "mae"
    if _has_scores(population) or METRICS[wanted].decides:
        return wanted
    return "accuracy"  # of labels alone


def measured(
    population: Population,
    metric: str,
    outcomes: Floats,
    losses: Mapping[str, Floats] | None = None,
    *,
    estimated: bool = False,
) -> Measured:
    """The metric of counts in the form of `population.outcomes`, or of losses in the form of `population.losses`.

    The error is that of resampled rows; for numbers it follows from the moments of the errors or losses.
    """
    if metric in population.losses:
        return _of_losses(metric, (losses or {}).get(metric, np.zeros(len(LOSS_SUMS))))
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


def _of_losses(metric: str, sums: Floats) -> Measured:
    rows, total, squares = sums.tolist()
    if rows < 1:
        return Measured(metric, float("nan"), float("nan"), 0)
    mean = total / rows
    return Measured(metric, mean, float(np.sqrt(max(0.0, squares / rows - mean**2) / rows)), int(rows))


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
