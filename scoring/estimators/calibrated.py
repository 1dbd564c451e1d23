"""A classifier of two labels whose probabilities pass through a curve."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin

from lakehouse.arrays import Floats
from scoring.estimators.calibration_curve import CurveKind, calibrated_by


class Calibrated(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """A fitted classifier and a curve that rises everywhere: rows keep their order, and so every metric of ranks.

    Attributes:
        model: what says the probabilities.
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


def like(calibrated: Any, model: Any) -> Any:
    """Another fitted model, through the curve that the first one has, if it has one."""
    return Calibrated(model, calibrated.curve, calibrated.numbers) if isinstance(calibrated, Calibrated) else model
