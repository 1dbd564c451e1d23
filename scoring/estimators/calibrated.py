"""A binary classifier with calibrated probabilities."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin

from lakehouse.arrays import Floats
from scoring.estimators.calibration_curve import CurveKind, calibrated_by


class Calibrated(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """A fitted classifier and a calibration curve. The curve rises everywhere, so metrics of ranks keep their value.

    Attributes:
        model: the fitted classifier.
        curve, numbers: the curve; see `scoring.estimators.calibration_curve`.
    """

    def __init__(self, model: Any, curve: CurveKind, numbers: Floats) -> None:
        self.model = model
        self.curve = curve
        self.numbers = numbers

    @property
    def classes_(self) -> npt.NDArray[Any]:
        return np.asarray([0, 1])

    def predict_proba(self, x: Any) -> Floats:
        """(rows, 2) probabilities."""
        positive = calibrated_by(
            self.curve, self.numbers, np.asarray(self.model.predict_proba(x), dtype=np.float64)[:, 1]
        )
        return np.stack([1 - positive, positive], axis=1)

    def predict(self, x: Any) -> npt.NDArray[np.int64]:
        """(rows,) the more probable label."""
        return np.asarray(self.predict_proba(x)[:, 1] >= 0.5, dtype=np.int64)

    def __sklearn_is_fitted__(self) -> bool:
        return True


def with_curve_of(calibrated: Any, model: Any) -> Any:
    """Calibrate `model` with the curve of `calibrated`; return it unchanged if there is no curve."""
    return Calibrated(model, calibrated.curve, calibrated.numbers) if isinstance(calibrated, Calibrated) else model


def calibrated_like(calibrated: Any, positive: Floats) -> Floats:
    """(rows,) probabilities on the curve of `calibrated`; unchanged predictions if there is no curve."""
    if not isinstance(calibrated, Calibrated):
        return positive
    return np.asarray(calibrated_by(calibrated.curve, calibrated.numbers, positive), dtype=np.float64)
