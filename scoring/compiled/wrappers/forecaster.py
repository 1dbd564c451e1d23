"""Wraps a compiled model of scaled labels: predicts in the unit of the label, with bounds."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from lakehouse.arrays import Floats
from scoring.compiled import Compiled, Row
from scoring.compiled.wrappers.wrapper import CompiledWrapper
from scoring.forecasts.scales import bounded_forecasts


@dataclass(frozen=True)
class CompiledForecaster(CompiledWrapper):
    """A compiled model of (label - level) / scale; see `scoring.forecasts.forecaster`.

    Attributes:
        level, scale, step: indices of features.
        lower, upper: bounds at each step, in scales from the value.
    """

    file: ClassVar[str] = "forecaster.json"
    level: int
    scale: int
    step: int
    lower: list[float]
    upper: list[float]

    def predict_one(self, row: Row) -> list[float]:
        predicted = self.inner.predict_one(row)
        forecast: list[float] = self._forecasts(np.asarray([row], dtype=object), np.asarray([predicted]))[0].tolist()
        return forecast

    def predict_many(self, rows: Floats) -> Floats:
        return self._forecasts(rows, self.inner.predict_many(rows))

    def _forecasts(self, rows: Floats, predicted: Floats) -> Floats:
        level, scale, step = rows[:, [self.level, self.scale, self.step]].astype(np.float64).T
        bounds = np.asarray(self.lower), np.asarray(self.upper)
        return bounded_forecasts(predicted, level, scale, step, bounds)

    def fields(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "inner"}

    @classmethod
    def around(cls, inner: Compiled, fields: dict[str, Any]) -> Self:
        return cls(inner, **fields)
