"""Calibration of the winner: fits curves, and measures them on rows that neither the model nor the curve has seen."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from scipy.special import logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from lakehouse.arrays import Floats
from scoring.estimators.calibrated import Calibrated
from scoring.estimators.calibration_curve import EDGE, CalibrationChoice, CurveKind, calibrated_by
from training.evaluation.bootstrap import Interval, intervals
from training.evaluation.metrics import Targets
from training.evaluation.resampling import INDEPENDENT, Dependence, DrawCounts, resamplings

CURVES: tuple[CurveKind, ...] = get_args(CurveKind)
MIN_SLOPE = 0.01  # a sigmoid of negative slope would reverse the order of rows


@dataclass(frozen=True)
class FoldPredictions:
    """Labels and predictions of the validation rows of one fold, with their entities and times."""

    labels: Targets
    predicted: Floats
    dependence: Dependence = INDEPENDENT


@dataclass(frozen=True)
class Gain:
    """Reduction of log loss by a curve, on folds that it was not fitted on.

    Attributes:
        pooled: over all rows of these folds.
        each: per fold.
    """

    pooled: Interval
    each: tuple[float, ...]

    @property
    def helps(self) -> bool:
        """True if the curve lowers log loss on every fold, and over all rows by more than noise."""
        return self.pooled.low > 0 and min(self.each) > 0


@dataclass(frozen=True)
class Calibration:
    """The chosen calibration curve.

    Attributes:
        curve: kind of the curve; None: not calibrated.
        numbers: parameters of the curve, fitted on all validation rows.
        gains: gain of each curve that was tried; empty if it could not be measured.
    """

    curve: CurveKind | None
    numbers: Floats
    gains: Mapping[CurveKind, Gain]

    def applied(self, model: object) -> object:
        """Wrap the fitted model, so that its probabilities pass through the curve."""
        return model if self.curve is None else Calibrated(model, self.curve, self.numbers)

    def calibrated(self, predicted: Floats) -> Floats:
        """(n,) the probabilities after the curve."""
        return predicted if self.curve is None else calibrated_by(self.curve, self.numbers, predicted)

    @property
    def summary(self) -> str:
        """One labelled line for the console and the version description."""
        if not self.gains:
            return f"Calibration: {self.curve or 'none'}; not measured, which takes at least 2 folds"
        gains = ", ".join(f"{curve} {gain.pooled}" for curve, gain in self.gains.items())
        if self.curve is None:
            return f"Calibration: none; neither {' nor '.join(self.gains)} lowers log loss on every fold ({gains})"
        return f"Calibration: {self.curve}; reduction of log loss on held-out folds: {gains}"


UNCALIBRATED = Calibration(None, np.empty(0), {})


def calibrate(plan: CalibrationChoice, folds: Sequence[FoldPredictions], *, in_time: bool) -> Calibration:
    """Fit the curve that the plan names; `auto` chooses the one that helps most, or none.

    Args:
        plan: the choice of the use case, except `none`.
        folds: the winner's predictions of each fold's validation rows.
        in_time: True if folds follow each other in time; a curve is then measured on later folds only.
    """
    tried = CURVES if plan == "auto" else tuple(curve for curve in CURVES if curve == plan)
    gains = {curve: _gain(curve, folds, in_time=in_time) for curve in tried} if len(folds) > 1 else {}
    helpful = sorted((gain.pooled.value, curve) for curve, gain in gains.items() if gain.helps)
    chosen = tried[0] if plan != "auto" else helpful[-1][1] if helpful else None
    if chosen is None:
        return Calibration(None, np.empty(0), gains)
    return Calibration(chosen, fit_curve(chosen, pooled(folds)), gains if plan != "auto" else {chosen: gains[chosen]})


def pooled(folds: Sequence[FoldPredictions]) -> FoldPredictions:
    """Concatenate the rows of all folds."""
    return FoldPredictions(
        np.concatenate([fold.labels for fold in folds]),
        np.concatenate([fold.predicted for fold in folds]),
        Dependence.joined([fold.dependence for fold in folds]),
    )


def fit_curve(curve: CurveKind, rows: FoldPredictions) -> Floats:
    """Fit the curve on these rows and return its parameters."""
    if curve == "isotonic":
        steps = IsotonicRegression(y_min=0, y_max=1).fit(rows.predicted, rows.labels)
        return np.stack([steps.X_thresholds_, steps.y_thresholds_]).astype(np.float64)
    odds = logit(rows.predicted.clip(EDGE, 1 - EDGE)).reshape(-1, 1)
    line = LogisticRegression(C=1e6, max_iter=1000).fit(odds, rows.labels)
    return np.asarray([max(line.coef_[0, 0], MIN_SLOPE), line.intercept_[0]], dtype=np.float64)


def _gain(curve: CurveKind, folds: Sequence[FoldPredictions], *, in_time: bool) -> Gain:
    splits = list(_curve_splits(folds, in_time=in_time))
    reductions = [
        _log_losses(rows.labels, rows.predicted)
        - _log_losses(rows.labels, calibrated_by(curve, fit_curve(curve, fit_rows), rows.predicted))
        for fit_rows, rows in splits
    ]
    pooled_rows = np.concatenate(reductions)
    dependence = Dependence.joined([rows.dependence for _, rows in splits])

    def mean(counts: DrawCounts) -> dict[str, float]:
        return {"gain": float(np.average(pooled_rows, weights=counts))}

    found = intervals(mean, resamplings(len(pooled_rows), dependence, pooled_rows))["gain"]
    return Gain(found, tuple(float(fold.mean()) for fold in reductions))


def _curve_splits(
    folds: Sequence[FoldPredictions], *, in_time: bool
) -> Iterator[tuple[FoldPredictions, FoldPredictions]]:
    """Rows to fit a curve on, with the fold to measure it on."""
    for index in range(1 if in_time else 0, len(folds)):
        yield pooled([*folds[:index], *([] if in_time else folds[index + 1 :])]), folds[index]


def _log_losses(labels: Targets, predicted: Floats) -> Floats:
    inside = predicted.clip(EDGE, 1 - EDGE)
    return np.asarray(-np.log(np.where(labels == 1, inside, 1 - inside)), dtype=np.float64)
