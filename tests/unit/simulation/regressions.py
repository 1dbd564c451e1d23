"""Regressions with intervals, for what data was made of."""

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
    """Coefficients, and the bounds of each at the confidence that was asked for."""

    low: Floats
    high: Floats

    def hold(self, true: npt.ArrayLike) -> list[bool]:
        """Of each coefficient, whether the true one is within its bounds."""
        return ((self.low <= true) & (true <= self.high)).tolist()  # type: ignore[no-any-return, operator]


def estimates(kind: Kind, x: Floats, y: Floats, confidence: float = 0.999) -> Estimates:
    """A linear, Poisson or logistic regression by Newton's method; its bounds also hold where counts spread more."""
    found = np.zeros(x.shape[1])
    for _ in range(25):
        mean = _MEANS[kind](x @ found)
        inverse = np.linalg.inv(x.T @ (x * _SLOPES[kind](mean)[:, None]))
        step = inverse @ x.T @ (y - mean)
        found = found + step
    assert abs(step).max() < 1e-9
    scores = x * (y - mean)[:, None]
    half = stats.norm.ppf((1 + confidence) / 2) * np.sqrt(np.diag(inverse @ scores.T @ scores @ inverse))
    return Estimates(found - half, found + half)
