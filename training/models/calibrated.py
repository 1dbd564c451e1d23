"""A classifier of two labels whose probabilities pass through a curve."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, ClassifierMixin

Floats = npt.NDArray[np.float64]
Curve = Literal["sigmoid", "isotonic"]

EDGE = 1e-9  # how near to 0 and 1 log-odds are taken
RISE = 0.01  # what the probability itself adds to a curve of steps


class Calibrated(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """A fitted classifier and a curve that rises everywhere: rows keep their order, and so every metric of ranks.

    Attributes:
        model: what says the probabilities.
        curve: which form the curve has.
        numbers: of a sigmoid, slope and intercept over the log-odds; of an isotonic curve (2, n), its points.
    """

    def __init__(self, model: Any, curve: Curve, numbers: Floats) -> None:
        self.model = model
        self.curve = curve
        self.numbers = numbers

    @property
    def classes_(self) -> npt.NDArray[Any]:
        return np.asarray([0, 1])

    def predict_proba(self, x: Any) -> Floats:
        """(rows, 2) probabilities."""
        positive = along(self.curve, self.numbers, np.asarray(self.model.predict_proba(x), dtype=np.float64)[:, 1])
        return np.stack([1 - positive, positive], axis=1)

    def predict(self, x: Any) -> npt.NDArray[np.int64]:
        """(rows,) the more probable label."""
        return np.asarray(self.predict_proba(x)[:, 1] >= 0.5, dtype=np.int64)

    def __sklearn_is_fitted__(self) -> bool:
        return True


def like(calibrated: Any, model: Any) -> Any:
    """Another fitted model, through the curve that the first one has, if it has one."""
    return Calibrated(model, calibrated.curve, calibrated.numbers) if isinstance(calibrated, Calibrated) else model


def along(curve: Curve, numbers: Floats, probabilities: Floats) -> Floats:
    """(n,) what the curve makes of probabilities."""
    if curve == "sigmoid":
        slope, intercept = numbers
        return np.asarray(expit(slope * logit(probabilities.clip(EDGE, 1 - EDGE)) + intercept), dtype=np.float64)
    steps = np.interp(probabilities, numbers[0], numbers[1])
    return np.asarray((1 - RISE) * steps + RISE * probabilities, dtype=np.float64)
