"""Regressions with confidence intervals, to compare with planted effects."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.special import expit

Floats = npt.NDArray[np.float64]
Kind = Literal["numbers", "counts", "labels"]

_MEANS: Mapping[Kind, Callable[[Floats], Floats]] = {"numbers": lambda x: x, "counts": np.exp, "labels": expit}
_SLOPES: Mapping[Kind, Callable[[Floats], Floats]] = {
    "numbers": np.ones_like,
    "counts": lambda mean: mean,
    "labels": lambda mean: mean * (1 - mean),
}


@dataclass(frozen=True)
class Estimates:
    """Confidence bounds of each coefficient."""

    low: Floats
    high: Floats

    def contain(self, true: npt.ArrayLike) -> list[bool]:
        """True for each coefficient whose true value is within its bounds."""
        return ((self.low <= true) & (true <= self.high)).tolist()  # type: ignore[no-any-return, operator]


def estimates(kind: Kind, x: Floats, y: Floats, confidence: float = 0.999) -> Estimates:
    """A linear, Poisson or logistic regression by Newton's method, with bounds that allow for overdispersion."""
    coefficients = np.zeros(x.shape[1])
    for _ in range(25):
        mean = _MEANS[kind](x @ coefficients)
        inverse = np.linalg.inv(x.T @ (x * _SLOPES[kind](mean)[:, None]))
        step = inverse @ x.T @ (y - mean)
        coefficients = coefficients + step
    assert abs(step).max() < 1e-9
    scores = x * (y - mean)[:, None]
    half = stats.norm.ppf((1 + confidence) / 2) * np.sqrt(np.diag(inverse @ scores.T @ scores @ inverse))
    return Estimates(coefficients - half, coefficients + half)
