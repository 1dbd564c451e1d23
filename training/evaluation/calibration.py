"""Whether a curve makes the winner's probabilities truer, measured on rows that neither of the two was fitted on."""

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
from training.evaluation.bootstrap import Interval, RowIndices, intervals
from training.evaluation.metrics import Targets

CURVES: tuple[CurveKind, ...] = get_args(CurveKind)
FLATTEST = 0.01  # the slope of a sigmoid that would turn the order round


@dataclass(frozen=True)
class Validated:
    """What a model said of the validation rows of one fold."""

    labels: Targets
    predicted: Floats


@dataclass(frozen=True)
class Gain:
    """By how much a curve lowers log loss on folds that it was not fitted on.

    Attributes:
        pooled: over all their rows.
        each: fold by fold.
    """

    pooled: Interval
    each: tuple[float, ...]

    @property
    def helps(self) -> bool:
        """Whether it does on every fold, and over all by more than noise."""
        return self.pooled.low > 0 and min(self.each) > 0


@dataclass(frozen=True)
class Calibration:
    """What became of a plan.

    Attributes:
        curve: which curve probabilities pass through; None: as the model says them.
        numbers: of the curve, fitted on all validation rows.
        gains: what each curve that was tried brings; empty where it could not be measured.
    """

    curve: CurveKind | None
    numbers: Floats
    gains: Mapping[CurveKind, Gain]

    def applied(self, model: object) -> object:
        """The fitted model, its probabilities through the curve."""
        return model if self.curve is None else Calibrated(model, self.curve, self.numbers)

    def along(self, predicted: Floats) -> Floats:
        """(n,) what the curve makes of probabilities."""
        return predicted if self.curve is None else calibrated_by(self.curve, self.numbers, predicted)

    @property
    def told(self) -> str:
        """What was done and what it brings, as a sentence."""
        if not self.gains:
            done = "as the model says them" if self.curve is None else f"calibrated ({self.curve})"
            return f"Probabilities are {done}: one fold is too few to measure what a curve brings."
        shown = ", ".join(f"{curve} {gain.pooled}" for curve, gain in self.gains.items())
        if self.curve is None:
            return f"Probabilities are as the model says them: no curve lowers log loss on every fold ({shown})."
        return f"Probabilities are calibrated ({self.curve}); on folds apart, log loss falls by {shown}."


UNCALIBRATED = Calibration(None, np.empty(0), {})


def calibrate(plan: CalibrationChoice, folds: Sequence[Validated], *, in_time: bool) -> Calibration:
    """Fit the curve that the plan names; of `auto`, the one that helps most, or none.

    Args:
        plan: what the use case says, `none` excepted.
        folds: what the winner said of each fold's validation rows.
        in_time: whether a fold's rows come after those of the folds before; a curve is then measured on later ones.
    """
    tried = CURVES if plan == "auto" else tuple(curve for curve in CURVES if curve == plan)
    gains = {curve: _gain(curve, folds, in_time=in_time) for curve in tried} if len(folds) > 1 else {}
    able = sorted((gain.pooled.value, curve) for curve, gain in gains.items() if gain.helps)
    chosen = tried[0] if plan != "auto" else able[-1][1] if able else None
    if chosen is None:
        return Calibration(None, np.empty(0), gains)
    return Calibration(chosen, fitted(chosen, pooled(folds)), gains if plan != "auto" else {chosen: gains[chosen]})


def pooled(folds: Sequence[Validated]) -> Validated:
    """The rows of all folds, one after the other."""
    return Validated(
        np.concatenate([fold.labels for fold in folds]), np.concatenate([fold.predicted for fold in folds])
    )


def fitted(curve: CurveKind, rows: Validated) -> Floats:
    """The numbers of the curve that is truest on these rows."""
    if curve == "isotonic":
        steps = IsotonicRegression(y_min=0, y_max=1).fit(rows.predicted, rows.labels)
        return np.stack([steps.X_thresholds_, steps.y_thresholds_]).astype(np.float64)
    odds = logit(rows.predicted.clip(EDGE, 1 - EDGE)).reshape(-1, 1)
    line = LogisticRegression(C=1e6, max_iter=1000).fit(odds, rows.labels)
    return np.asarray([max(line.coef_[0, 0], FLATTEST), line.intercept_[0]], dtype=np.float64)


def _gain(curve: CurveKind, folds: Sequence[Validated], *, in_time: bool) -> Gain:
    gained = [
        _log_losses(rows.labels, rows.predicted)
        - _log_losses(rows.labels, calibrated_by(curve, fitted(curve, others), rows.predicted))
        for others, rows in _apart(folds, in_time=in_time)
    ]
    rows = np.concatenate(gained)

    def mean(places: RowIndices) -> dict[str, float]:
        return {"gain": float(rows[places].mean())}

    return Gain(intervals(mean, len(rows))["gain"], tuple(float(part.mean()) for part in gained))


def _apart(folds: Sequence[Validated], *, in_time: bool) -> Iterator[tuple[Validated, Validated]]:
    """What a curve is fitted on, and the fold that it is measured on."""
    for place in range(1 if in_time else 0, len(folds)):
        yield pooled([*folds[:place], *([] if in_time else folds[place + 1 :])]), folds[place]


def _log_losses(labels: Targets, predicted: Floats) -> Floats:
    inside = predicted.clip(EDGE, 1 - EDGE)
    return np.asarray(-np.log(np.where(labels == 1, inside, 1 - inside)), dtype=np.float64)
